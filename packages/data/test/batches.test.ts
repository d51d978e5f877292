import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluationWindows, splitTokens, type TextBatch, type TextBatchesOptions, textBatches } from "../src/index.ts";

const counting = (length: number) => Uint16Array.from({ length }, (_, i) => i);
const take = (source: Iterator<TextBatch>, count: number): TextBatch[] => Array.from({ length: count }, () => source.next().value);
const rows = ({ inputs, shape: [batch, context] }: TextBatch) =>
  Array.from({ length: batch }, (_, row) => [...inputs.subarray(row * context, (row + 1) * context)]);

const options = fc
  .record({
    length: fc.integer({ min: 2, max: 200 }),
    batch: fc.integer({ min: 1, max: 7 }),
    context: fc.integer({ min: 1, max: 20 }),
    seed: fc.nat(2 ** 40),
    order: fc.constantFrom("random" as const, "shuffled" as const),
  })
  .filter(({ length, context }) => length > context)
  .map(({ length, ...rest }): TextBatchesOptions => ({ tokens: counting(length), ...rest }));

describe("textBatches", () => {
  test("windows are consecutive tokens and targets are one ahead", () => {
    fc.assert(
      fc.property(options, (options) => {
        for (const batch of take(textBatches(options), 5)) {
          expect(batch.shape).toEqual([options.batch, options.context]);
          expect(batch.targets).toEqual(batch.inputs.map((token) => token + 1));
          for (const row of rows(batch)) expect(row).toEqual(row.map((_, i) => row[0]! + i));
          expect(Math.max(...batch.targets)).toBeLessThan(options.tokens.length);
        }
      }),
    );
  });

  test("a resumed run goes on bit for bit, from JSON", () => {
    fc.assert(
      fc.property(options, fc.nat(30), (options, steps) => {
        const whole = take(textBatches(options), steps + 3);
        const first = textBatches(options);
        take(first, steps);
        const state = JSON.parse(JSON.stringify(first.state()));
        const second = textBatches(options);
        take(second, 2);
        second.resume(state);
        expect(take(second, 3)).toEqual(whole.slice(steps));
        expect(second.state().position).toBe(steps + 3);
      }),
    );
  });

  test("shuffled: each epoch visits every window once, in another order", () => {
    const windows = 10;
    const source = textBatches({ tokens: counting(windows * 8 + 1), batch: 5, context: 8, seed: 3, order: "shuffled" });
    expect(source.batchesPerEpoch).toBe(2);
    const epochs = [0, 1, 2].map(() => take(source, 2).flatMap((batch) => rows(batch).map((row) => row[0]!)));
    const all = Array.from({ length: windows }, (_, i) => i * 8);
    for (const starts of epochs) expect([...starts].sort((a, b) => a - b)).toEqual(all);
    expect(new Set([...epochs, all].map(String)).size).toBe(4);
  });

  test("shuffled: batches that do not divide the epoch run on into the next; spare tokens are seen in some epoch", () => {
    const source = textBatches({ tokens: counting(25), batch: 3, context: 10, seed: 1, order: "shuffled" });
    const starts = take(source, 40).flatMap((batch) => rows(batch).map((row) => row[0]!));
    for (let i = 0; i < starts.length; i += 2) expect(Math.abs(starts[i]! - starts[i + 1]!)).toBe(10);
    expect(new Set(starts.map((start) => start % 10))).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  test("random: starts are uniform over every place, the last included", () => {
    const places = 20;
    const source = textBatches({ tokens: counting(places + 4), batch: 100, context: 4, seed: 7 });
    const counts = new Array<number>(places).fill(0);
    for (const batch of take(source, 100)) for (const row of rows(batch)) counts[row[0]!]!++;
    const expected = 10_000 / places;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    expect(chiSquare).toBeLessThan(43.8); // 19 degrees of freedom, p = 0.001
  });

  test("the order is this one, on every machine", () => {
    const starts = (seed: number) =>
      rows(textBatches({ tokens: counting(60_000), batch: 4, context: 2, seed }).next().value).map((row) => row[0]);
    expect(starts(1)).toMatchInlineSnapshot(`
      [
        41537,
        33967,
        28912,
        10575,
      ]
    `);
    expect(starts(2 ** 40 + 1)).not.toEqual(starts(1));
    expect(starts(2)).not.toEqual(starts(1));
  });

  test("resuming on other data or options is refused, saying which", () => {
    const base: TextBatchesOptions = { tokens: counting(100), batch: 2, context: 4, seed: 1 };
    const state = textBatches(base).state();
    const other = base.tokens.slice();
    other[50] = 0;
    expect(() => textBatches({ ...base, tokens: other }).resume(state)).toThrow("the text is another one: the run had fingerprint");
    expect(() => textBatches({ ...base, tokens: counting(99) }).resume(state)).toThrow("the run had tokens 100, now it is 99");
    expect(() => textBatches({ ...base, seed: 2 }).resume(state)).toThrow("seed is another one: the run had seed 1, now it is 2");
    expect(() => textBatches({ ...base, order: "shuffled" }).resume(state)).toThrow("order is another one");
    expect(() => textBatches(base).resume({ ...state, position: -1 })).toThrow("position must be an integer of at least 0, got -1");
    expect(() => textBatches(base).resume(undefined as never)).toThrow("position must be an integer");
  });

  test("bad options", () => {
    const base: TextBatchesOptions = { tokens: counting(5), batch: 2, context: 4, seed: 1 };
    expect(rows(textBatches(base).next().value)).toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ]);
    expect(() => textBatches({ ...base, context: 5 })).toThrow(
      "a window of context 5 takes 6 tokens (the last is only a target), but there are 5",
    );
    expect(() => textBatches({ ...base, tokens: counting(0) })).toThrow("but there are none");
    expect(() => textBatches({ ...base, batch: 0 })).toThrow("batch must be an integer of at least 1, got 0");
    expect(() => textBatches({ ...base, seed: 0.5 })).toThrow("seed must be an integer of at least 0, got 0.5");
    expect(() => textBatches({ ...base, order: "sorted" as never })).toThrow('order must be one of random, shuffled, got "sorted"');
  });
});

describe("evaluation", () => {
  test("all consecutive windows, a smaller batch at the end", () => {
    const batches = [...evaluationWindows({ tokens: counting(23), batch: 2, context: 4 })];
    expect(batches.map((batch) => batch.shape)).toEqual([
      [2, 4],
      [2, 4],
      [1, 4],
    ]);
    expect(batches.flatMap((batch) => [...batch.inputs])).toEqual([...counting(20)]);
    expect(batches.flatMap((batch) => [...batch.targets])).toEqual([...counting(21)].slice(1));
    expect(batches.map((batch) => batch.count)).toEqual([8, 8, 4]);
  });

  test("or padded with targets that count for nothing", () => {
    const last = [...evaluationWindows({ tokens: counting(13), batch: 2, context: 4, last: "padded" })].at(-1)!;
    expect(last).toMatchObject({ shape: [2, 4], count: 4 });
    expect([...last.inputs]).toEqual([8, 9, 10, 11, 0, 0, 0, 0]);
    expect([...last.targets]).toEqual([9, 10, 11, 12, -100, -100, -100, -100]);
  });

  test("a text with no window is an error at once", () => {
    expect(() => evaluationWindows({ tokens: counting(4), batch: 2, context: 4 })).toThrow(
      "evaluationWindows: a window of context 4 takes 5 tokens",
    );
  });
});

describe("splitTokens", () => {
  test("the last tenth is for validation, cut where nanoGPT cuts", () => {
    const { train, validation } = splitTokens(counting(1_115_394 % 60_000));
    expect([train.length, validation.length]).toEqual([31_854, 3_540]);
    expect(validation[0]).toBe(31_854);
    expect(splitTokens(new Uint8Array(1_115_394)).train.length).toBe(1_003_854);
  });

  test("bad input", () => {
    expect(() => splitTokens(counting(10), { validation: 1 })).toThrow("validation must be a fraction between 0 and 1, got 1");
    expect(() => splitTokens(counting(1))).toThrow("1 tokens cannot be split with validation 0.1");
  });
});
