import { type AttentionCache, type KvCacheOptions, PagedKvCache, PagePool, QuantizedKvCache, SlidingKvCache } from "@x/attention";
import { GPT2, Llama } from "@x/models";
import type { CausalLM } from "@x/nn";
import { Generator, reference, setDefaultDevice, tensor, withGenerator } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { beamSearch, causalDecoder, type Decoder, generate } from "../src/index.ts";

const device = reference();
beforeAll(() => setDefaultDevice(device));

/** The oracle: no cache, no padding, no batch; every row's whole history through the model each time. */
class WholeForward implements Decoder {
  readonly vocabSize: number;
  readonly maxLength?: number;
  readonly #model: CausalLM;
  #rows: number[][] = [];

  constructor(model: CausalLM) {
    this.#model = model;
    this.vocabSize = model.vocabSize;
    if (model.maxLength !== undefined) this.maxLength = model.maxLength;
  }
  prefill(prompts: readonly Int32Array[]): Promise<Float32Array> {
    this.#rows = prompts.map((prompt) => [...prompt]);
    return this.#logits();
  }
  step(tokens: Int32Array): Promise<Float32Array> {
    this.#rows.forEach((row, i) => {
      row.push(tokens[i]!);
    });
    return this.#logits();
  }
  gather(rows: Int32Array): void {
    this.#rows = Array.from(rows, (row) => [...this.#rows[row]!]);
  }
  close(): void {}

  async #logits(): Promise<Float32Array> {
    const out = new Float32Array(this.#rows.length * this.vocabSize);
    for (const [i, row] of this.#rows.entries()) {
      const kept = row.slice(0, this.maxLength); // beyond it, nobody reads
      const logits = await this.#model.forward(tensor(Int32Array.from(kept), { shape: [1, kept.length] }), { lastOnly: true }).data();
      out.set(logits, i * this.vocabSize);
    }
    return out;
  }
}

const seeded = <T>(make: () => T): T => withGenerator(new Generator({ seed: 5, device }), make);
/** Weights large enough that the logits are far apart. */
function spread<M extends GPT2 | Llama>(model: M, factor: number): M {
  for (const cell of model.parameters()) if (cell.shape.length === 2) cell.set(cell.value.mul(factor).copy());
  return model;
}
const sizes = { vocabSize: 23, maxLength: 12, dim: 24, numLayers: 2, numHeads: 4 };
const makers: Record<string, () => GPT2 | Llama> = {
  gpt2: () =>
    spread(
      seeded(() => new GPT2(sizes)),
      10,
    ),
  llama: () =>
    spread(
      seeded(() => new Llama({ ...sizes, numKvHeads: 2, hiddenDim: 40, queryKeyNorm: true })),
      12,
    ),
};
/** The same with other caches behind them: a ring that goes round within the prompt, pages that beams share. */
const over = <M extends Llama>(model: M, cache: (heads: KvCacheOptions) => AttentionCache): M =>
  Object.assign(model, {
    initState: (options: { batch: number; capacity: number }) => Llama.prototype.initState.call(model, { ...options, cache }),
  });
makers["llama, with a window"] = () =>
  spread(
    seeded(() => new Llama({ ...sizes, numKvHeads: 2, hiddenDim: 40, window: 3 })),
    12,
  );
makers["llama, in pages"] = () =>
  over(makers.llama!() as Llama, ({ batch, capacity, ...heads }) => {
    const pool = new PagePool({ pages: 400, pageSize: 3, ...heads });
    return new PagedKvCache({ batch, capacity, pool });
  });
const prompts = [[3, 1, 4, 1, 5, 9], [2], [7, 1, 8]];

describe.each(Object.entries(makers))("%s behind its cache", (_, make) => {
  test("says at every step what the whole forward says, for prompts of different lengths", async () => {
    const model = make();
    const [ours, oracle] = [causalDecoder(model), new WholeForward(model)];
    const arrays = prompts.map((prompt) => Int32Array.from(prompt));
    const first = await oracle.prefill(arrays);
    expectClose(await ours.prefill(arrays, { newTokens: 4, rows: 3 }), first);
    for (let i = 0; i < 4; i++) {
      const tokens = Int32Array.from([(i * 7) % 23, (i * 5 + 1) % 23, (i * 3 + 2) % 23]);
      expectClose(await ours.step(tokens), await oracle.step(tokens));
    }
    ours.close();
  });

  test("writes greedily what the whole forward would, past rows that end first and past the model's last position", async () => {
    const model = make();
    const made = await generate(causalDecoder(model), prompts, { maxNewTokens: 11 });
    const expected = await generate(new WholeForward(model), prompts, { maxNewTokens: 11 });
    expect(made.rows.map(({ tokens }) => [...tokens])).toEqual(expected.rows.map(({ tokens }) => [...tokens]));
    expect(made.rows.map(({ tokens }) => tokens.length)).toEqual([6, 11, 9]);
    expect(new Set(made.rows.flatMap(({ tokens }) => [...tokens])).size).toBeGreaterThan(3);
  });

  test("finds the beams that the whole forward finds", async () => {
    const model = make();
    const options = { beams: 3, returns: 3, maxNewTokens: 4, eos: 4 };
    const made = await beamSearch(causalDecoder(model), prompts, options);
    const expected = await beamSearch(new WholeForward(model), prompts, options);
    expect(made.map((beams) => beams.map(({ tokens }) => [...tokens]))).toEqual(
      expected.map((beams) => beams.map(({ tokens }) => [...tokens])),
    );
    for (const [i, beams] of made.entries())
      for (const [j, { score }] of beams.entries()) expect(score).toBeCloseTo(expected[i]![j]!.score, 4);
  });

  test("compiled steps say bit for bit what eager ones say", async () => {
    const model = make();
    const [compiled, eager] = [causalDecoder(model), causalDecoder(model, { eager: true })];
    const arrays = prompts.map((prompt) => Int32Array.from(prompt));
    await Promise.all([compiled, eager].map((decoder) => decoder.prefill(arrays, { newTokens: 6, rows: 3 })));
    for (let i = 0; i < 6; i++) {
      const tokens = Int32Array.from([i, i + 1, i + 2]);
      expect(await compiled.step(tokens)).toEqual(await eager.step(tokens));
    }
    for (const decoder of [compiled, eager]) decoder.close();
  });

  test("gather reorders, repeats, drops and adds rows", async () => {
    const model = make();
    const [ours, oracle] = [causalDecoder(model), new WholeForward(model)];
    const arrays = prompts.map((prompt) => Int32Array.from(prompt));
    await Promise.all([ours.prefill(arrays, { newTokens: 8, rows: 5 }), oracle.prefill(arrays)]);
    for (const rows of [
      [2, 0, 0],
      [1, 1, 2, 0, 0],
      [4, 2],
      [1, 0],
    ]) {
      for (const decoder of [ours, oracle]) decoder.gather(Int32Array.from(rows));
      const tokens = Int32Array.from(rows, (row, i) => row + 3 * i);
      expectClose(await ours.step(tokens), await oracle.step(tokens));
    }
    ours.close();
  });
});

test("the state is what initState makes", async () => {
  const model = makers.llama!() as Llama;
  let made: AttentionCache | undefined;
  const initState: CausalLM["initState"] = (options) => {
    made = model.initState({ ...options, cache: (heads) => new QuantizedKvCache(heads) });
    return made;
  };
  const { rows } = await generate(causalDecoder(model, { initState }), prompts, { maxNewTokens: 3 });
  expect(made).toBeInstanceOf(QuantizedKvCache);
  expect(rows.map(({ tokens }) => tokens.length)).toEqual([3, 3, 3]);
  const window = makers["llama, with a window"]!() as Llama;
  expect(window.initState({ batch: 1, capacity: 9 })).toBeInstanceOf(SlidingKvCache);
});

function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]!, 4);
}

test("a dynamic rotation whose tables must grow says compiled what it says eagerly", async () => {
  const config = { ...sizes, hiddenDim: 40, ropeScaling: { type: "dynamic", factor: 2, originalMaxLength: 4 } as const, maxLength: 4 };
  const run = async (eager: boolean) => {
    const model = spread(
      seeded(() => new Llama(config)),
      12,
    );
    const decoder = causalDecoder(model, { eager });
    const logits = [await decoder.prefill([Int32Array.of(1, 2, 3)], { newTokens: 12, rows: 1 })];
    for (let i = 0; i < 12; i++) logits.push(await decoder.step(Int32Array.of(i)));
    decoder.close();
    return logits;
  };
  const [compiled, eager] = [await run(false), await run(true)];
  expect(compiled).toEqual(eager);
  expect(compiled.flatMap((row) => [...row]).every(Number.isFinite)).toBe(true);
});

test("memory does not grow with steps or with runs, and close gives back what a run held", async () => {
  const decoder = causalDecoder(makers.gpt2!());
  const live = () => device.memory().live;
  const before = live();
  const run = async () => {
    await decoder.prefill([Int32Array.of(1, 2), Int32Array.of(3)], { newTokens: 12, rows: 2 });
    await decoder.step(Int32Array.of(1, 1));
    const first = live();
    for (let i = 0; i < 10; i++) await decoder.step(Int32Array.of(i, i + 1));
    expect(live()).toBe(first);
    return first;
  };
  const once = await run();
  expect(await run()).toBe(once);
  decoder.close();
  expect(live()).toBe(before);
});

test("misuse is told apart", async () => {
  const decoder = causalDecoder(makers.gpt2!());
  await expect(decoder.step(Int32Array.of(1))).rejects.toThrow("no run has begun. Call prefill first");
  await expect(decoder.prefill([], { newTokens: 1, rows: 1 })).rejects.toThrow("prompts must be at least one");
  await expect(decoder.prefill([Int32Array.of(23)], { newTokens: 1, rows: 1 })).rejects.toThrow(
    "prompts[0]: token 23 at position 0 is outside the vocabulary of 23",
  );
  await decoder.prefill([Int32Array.of(1)], { newTokens: 1, rows: 1 });
  await expect(decoder.step(Int32Array.of(1, 2))).rejects.toThrow("tokens must be one a row, for 1 rows");
  await expect(decoder.step(Int32Array.of(-1))).rejects.toThrow("token -1");
  await decoder.step(Int32Array.of(1));
  await expect(decoder.step(Int32Array.of(1))).rejects.toThrow("all 2 positions are filled");
  decoder.close();
});
