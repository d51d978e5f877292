import { published } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import { stateDict, withTraining } from "@x/nn";
import { compile, Generator, reference, setDefaultDevice, type Tensor, tensor, valueAndGrad, withDevice, withGenerator } from "@x/tensor";
import { Stream } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { TransformerXL, type TransformerXLConfig, transformerXLConfig, transformerXLNames } from "../src/transformer-xl/index.ts";
import { type Memories, type PublishedXL, referenceXL, type StateDict } from "./transformer-xl-reference.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 2e-5, rtol: 1e-4 };

const base: PublishedXL & { readonly d_embed: number; readonly d_inner: number } = {
  vocab_size: 13,
  cutoffs: [5, 8],
  d_model: 8,
  d_embed: 8,
  n_head: 2,
  d_head: 3,
  d_inner: 10,
  div_val: 2,
  n_layer: 2,
  mem_len: 4,
  clamp_len: -1,
  same_length: false,
  pre_lnorm: false,
  untie_r: true,
};
/** Numbers large enough that nothing hides: biases and norms too. */
async function seeded(config: Partial<TransformerXLConfig> = {}, json: Partial<PublishedXL> = {}, on = device): Promise<TransformerXL> {
  const model = withDevice(on, () =>
    withGenerator(
      new Generator({ seed: 9, device: on }),
      () => new TransformerXL({ ...transformerXLConfig({ ...base, ...json, dropout: 0 }), ...config }),
    ),
  );
  for (const [name, cell] of model.namedParameters()) {
    const size = cell.shape.reduce((a, b) => a * b, 1);
    cell.write(Float32Array.from(new Stream(name).normal(size), (value) => (/norm\d\.weight/.test(name) ? 1 + value / 4 : value * 0.6)));
  }
  return model;
}
async function publishedOf(model: TransformerXL): Promise<StateDict> {
  const tensors = published(await stateDict(model), transformerXLNames);
  const read = tensors.map(
    async ([name, { shape, values }]) => [name, { shape, values: typeof values === "function" ? await values() : values }] as const,
  );
  return new Map(await Promise.all(read)) as StateDict;
}
const ids = (count: number, seed = 1) => Array.from({ length: count }, (_, i) => (i * i * 5 + i * seed + seed) % base.vocab_size);
const row = (values: readonly number[], on = device) => tensor(Int32Array.from(values), { shape: [1, values.length], device: on });
const rows = (...values: readonly (readonly number[])[]) =>
  tensor(Int32Array.from(values.flat()), { shape: [values.length, values[0]!.length] });

describe.each([
  ["as published", {}],
  ["norms before branches", { pre_lnorm: true }],
  ["u and v shared", { untie_r: false }],
  ["distances clamped", { clamp_len: 2 }],
  ["the same length for all", { same_length: true }],
  ["everything at once", { pre_lnorm: true, untie_r: false, clamp_len: 3, same_length: true }],
])("%s", (_, changes) => {
  test.each(["zeros", "empty"] as const)(
    "three segments are what the published code computes, from a memory that is %s",
    async (initMemory) => {
      const model = await seeded({ initMemory }, changes);
      const json = { ...base, ...changes };
      const run = referenceXL(json, await publishedOf(model));
      const nothing = Array.from({ length: initMemory === "zeros" ? base.mem_len : 0 }, () => new Array<number>(base.d_model).fill(0));
      let memories: Memories = [nothing, nothing];
      const state = model.initState({ batch: 1 });
      // The second is shorter than the memory, the third longer.
      const segments = [ids(3, 2), ids(1, 4), ids(7, 5)];
      for (const [i, segment] of segments.entries()) {
        const expected = run(segment, memories);
        memories = expected.memories;
        const output = model.forward(row(segment), { state });
        await expect(output).toBeCloseToTensor(tensor(expected.output.flat(), { shape: output.shape }), close);
        if (i === 0) await expect(model.forward(row(segment))).toBeCloseToTensor(output, close);
        const losses = await model.losses(row(segment), row(segment)).data();
        const logits = await model.forward(row(segment)).data();
        for (const [at, word] of segment.entries()) expect(losses[at]).toBeCloseTo(-logits[at * base.vocab_size + word]!, 4);
      }
    },
  );
});

describe("segments over the memory", () => {
  test("are one long segment, when the memory holds it all", async () => {
    const model = await seeded({ memoryLength: 12, initMemory: "empty" });
    const text = ids(12, 3);
    const whole = model.forward(row(text));
    const state = model.initState({ batch: 1 });
    for (const [from, to] of [
      [0, 5],
      [5, 6],
      [6, 12],
    ] as const)
      await expect(model.forward(row(text.slice(from, to)), { state })).toBeCloseToTensor(whole.slice(1, from, to), close);
  });

  test("of the same length are one pass through a window of as many keys", async () => {
    const model = await seeded({ memoryLength: 4, sameLength: true, initMemory: "empty" });
    const text = ids(8, 3);
    const state = model.initState({ batch: 1 });
    const first = model.forward(row(text.slice(0, 4)), { state });
    const second = model.forward(row(text.slice(4)), { state });
    const whole = model.forward(row(text));
    await expect(first).toBeCloseToTensor(whole.slice(1, 0, 4), close);
    await expect(second).toBeCloseToTensor(whole.slice(1, 4, 8), close);
    // The window of two layers reaches 2 (4 - 1) back, and no farther.
    const last = async (changed: number) => {
      const other = text.map((word, i) => (i === changed ? (word + 1) % base.vocab_size : word));
      return Array.from(await model.forward(row(other), { lastOnly: true }).data());
    };
    expect(await last(0)).toEqual(await last(-1));
    expect(await last(1)).not.toEqual(await last(-1));
  });

  test("a memory of zeros is not an empty one", async () => {
    const [zeros, empty] = [await seeded({ initMemory: "zeros" }), await seeded({ initMemory: "empty" })];
    const [a, b] = [await zeros.forward(row(ids(3))).data(), await empty.forward(row(ids(3))).data()];
    expect(Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)))).toBeGreaterThan(1e-2);
    expect((await zeros.initState({ batch: 1, capacity: 2 })).slots).toBe(4);
    expect((await empty.initState({ batch: 1, capacity: 2 })).slots).toBe(2);
  });

  test("what comes later changes nothing before: the relative shift's garbage is masked", async () => {
    const model = await seeded();
    const text = ids(5, 3);
    const [before, after] = await Promise.all(
      [text, [...text.slice(0, 4), 0]].map(async (words) => {
        const state = model.initState({ batch: 1 });
        model.forward(row(ids(3, 7)), { state });
        return Array.from(await model.forward(row(words), { state }).data());
      }),
    );
    expect(after!.slice(0, 4 * base.vocab_size)).toEqual(before!.slice(0, 4 * base.vocab_size));
    expect(after!.slice(4 * base.vocab_size)).not.toEqual(before!.slice(4 * base.vocab_size));
  });

  test("no gradient flows into the memory, but through its keys into the weights", async () => {
    const model = await seeded({ tied: false, initMemory: "empty" });
    const state = model.initState({ batch: 1 });
    const table = model.embedding.tables[0]!;
    const wrt = [table, model.blocks[0]!.attention.key.weight];
    const gradients = valueAndGrad(() => {
      model.forward(row([0, 1, 2]), { state });
      return model
        .forward(row([3, 4]), { state })
        .slice(-1, 0, 1)
        .sum();
    }, wrt).gradients;
    const values = await gradients[0]!.data();
    const reached = [0, 1, 2, 3, 4].map((word) => values.slice(word * 8, (word + 1) * 8).some((value) => value !== 0));
    expect(reached).toEqual([false, false, false, true, true]);
    expect(await gradients[1]!.abs().max().item()).toBeGreaterThan(0);
  });

  test("a model without memory sees its segment alone", async () => {
    const model = await seeded({ memoryLength: 0 });
    const state = model.initState({ batch: 1, capacity: 8 });
    model.forward(row(ids(3, 7)), { state });
    await expect(model.forward(row(ids(4)), { state })).toBeCloseToTensor(model.forward(row(ids(4))), close);
  });
});

describe.each([
  ["zeros", true],
  ["zeros", false],
  ["empty", true],
  ["empty", false],
] as const)("a state that begins %s, same length %s", (initMemory, sameLength) => {
  const make = () => seeded({ initMemory, sameLength, memoryLength: 6 });
  const texts = [ids(9, 3), ids(9, 8)];
  const prompt = 5;

  /** Each text by itself, a prompt and then a token at a time. */
  async function alone(model: TransformerXL, text: readonly number[], start: number) {
    const state = model.initState({ batch: 1 });
    const outputs: Tensor[] = [model.forward(row(text.slice(0, start)), { state, lastOnly: true })];
    for (const word of text.slice(start)) outputs.push(model.forward(row([word]), { state, lastOnly: true }));
    return outputs;
  }

  test("rows padded on the left are what each is alone", async () => {
    const model = await make();
    const padding = [0, 3];
    const state = model.initState({ batch: 2, capacity: 9 });
    // What was before is forgotten.
    model.forward(rows(ids(4, 2), ids(4, 9)), { state });
    state.reset(padding);
    const padded = texts.map((text, i) => [...new Array<number>(padding[i]!).fill(11), ...text]);
    const expected = await Promise.all(texts.map((text, i) => alone(model, text, prompt - padding[i]!)));
    for (let at = prompt; at <= 9; at++) {
      const words = padded.map((text) => (at === prompt ? text.slice(0, prompt) : [text[at - 1]!]));
      const output = model.forward(rows(...words), { state, lastOnly: true });
      for (const i of [0, 1]) await expect(output.slice(0, i, i + 1)).toBeCloseToTensor(expected[i]![at - prompt]!, close);
    }
    expect(state.length).toBe(9);
  });

  test("forks, gathers, selects and truncates", async () => {
    const model = await make();
    const next = rows([4], [9]);
    const state = model.initState({ batch: 2 });
    model.forward(rows(texts[0]!.slice(0, 4), texts[1]!.slice(0, 4)), { state });
    const fork = state.fork();
    const expected = model.forward(next, { state });
    await expect(model.forward(next, { state: fork })).toBeCloseToTensor(expected, close);
    const one = fork.select([1]);
    expect([one.batch, one.length]).toEqual([1, 5]);
    one.truncate(4);
    await expect(model.forward(row([9]), { state: one })).toBeCloseToTensor(expected.slice(0, 1, 2), close);
    one.truncate(0);
    await expect(model.forward(row(texts[1]!.slice(0, 4)), { state: one })).toBeCloseToTensor(
      model.forward(row(texts[1]!.slice(0, 4))),
      close,
    );
    fork.truncate(4);
    fork.gather([1, 0]);
    const swapped = model.forward(rows([9], [4]), { state: fork });
    await expect(swapped.slice(0, 1, 2)).toBeCloseToTensor(expected.slice(0, 0, 1), close);
    await expect(swapped.slice(0, 0, 1)).toBeCloseToTensor(expected.slice(0, 1, 2), close);
    model.forward(rows(ids(2, 1), ids(2, 2)), { state });
    expect(state.length).toBe(7);
    expect(() => state.truncate(6)).toThrow(
      "SegmentMemory.truncate: 6 positions need what came before them, but of the 7 that were filled the last 6 are kept.",
    );
    for (const each of [state, fork, one]) each.dispose();
  });
});

test("keyMask hides tokens of a call without a state", async () => {
  const model = await seeded();
  const mask = tensor([[false, true, true, true]]);
  const [a, b] = await Promise.all(
    [3, 7].map((word) =>
      model
        .forward(row([word, 1, 2, 6]), { keyMask: mask })
        .slice(1, 1, 4)
        .data(),
    ),
  );
  expect(a).toEqual(b);
  expect(a).not.toEqual(
    await model
      .forward(row([3, 1, 2, 6]))
      .slice(1, 1, 4)
      .data(),
  );
});

test("training drops, each time anew, and nothing else does", async () => {
  const model = await seeded({ dropout: 0.3, attentionDropout: 0.2 });
  const run = (training: boolean) => withTraining(training, () => model.forward(row(ids(4)))).data();
  expect(await run(false)).toEqual(await run(false));
  expect(await run(true)).not.toEqual(await run(true));
});

test("vectors of distances are dropped, alike in all layers", async () => {
  const model = await seeded({ dropout: 1 - 1e-6, initMemory: "zeros" });
  const drawn: number[] = [];
  const generator = new Generator({ seed: 3, device });
  withGenerator(generator, () =>
    withTraining(true, () => {
      const before = generator.ordinal;
      model.hiddenStates(row(ids(4)));
      drawn.push(generator.ordinal - before);
    }),
  );
  // Once: vectors of distances, embeddings, the result; in each of two layers: attention's branch, hidden units, the feed-forward's branch.
  expect(drawn).toEqual([9]);
});

test("first values are as published: 0.02, projections 0.01, biases 0, norms around 1", async () => {
  const model = withGenerator(
    new Generator({ seed: 2, device }),
    () =>
      new TransformerXL(
        transformerXLConfig({
          vocab_size: 600,
          cutoffs: [300, 500],
          d_model: 64,
          d_embed: 64,
          n_head: 4,
          d_head: 16,
          d_inner: 128,
          n_layer: 1,
        }),
      ),
  );
  for (const [name, cell] of model.namedParameters()) {
    const values = Array.from(await cell.data());
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    if (/bias/i.test(name)) expect([name, deviation]).toEqual([name, 0]);
    else if (values.length > 60)
      expect([name, Math.abs(deviation / (/projections/.test(name) ? 0.01 : 0.02) - 1) < 0.3]).toEqual([name, true]);
    if (/norm\d\.weight/.test(name)) expect(Math.abs(mean - 1)).toBeLessThan(0.02);
  }
});

describe("on wasm, compiled", () => {
  test("a step that carries the memory lowers the loss, and steps of one token are the model run as it stands", async () => {
    const on = await wasm({ threads: 1 });
    try {
      const model = withDevice(on, () =>
        withGenerator(
          new Generator({ seed: 9, device: on }),
          () => new TransformerXL(transformerXLConfig({ ...base, dropout: 0, same_length: true })),
        ),
      );
      const state = model.initState({ batch: 2 });
      const cells = model.parameters();
      type Batch = { readonly tokens: Tensor; readonly targets: Tensor };
      const step = compile<Batch, Tensor>(
        ({ tokens, targets }) => {
          const { value, gradients } = valueAndGrad(() => model.losses(tokens, targets, { state }).mean(), cells);
          for (const [i, cell] of cells.entries()) cell.set(cell.value.sub(gradients[i]!.mul(0.5)));
          return value;
        },
        { name: "train", device: on },
      );
      const text = (i: number) => [1, 12, 4, 7, 9][i % 5]!;
      const losses: number[] = [];
      for (let n = 0; n < 60; n++) {
        const at = (shift: number) => ({
          data: Int32Array.from({ length: 10 }, (_, i) => text(n * 5 + i + shift)),
          shape: [2, 5],
        });
        const loss = step({ tokens: at(0), targets: at(1) });
        losses.push(await loss.item());
        state.counted(5);
      }
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(losses.slice(-6).reduce((a, b) => a + b) / 6).toBeLessThan(losses[0]! / 2);

      const [compiled, eager] = [model.initState({ batch: 1 }), model.initState({ batch: 1 })];
      const decode = compile<{ readonly tokens: Tensor }, Tensor>(
        ({ tokens }) => model.forward(tokens, { state: compiled, lastOnly: true }),
        {
          name: "decode",
          device: on,
        },
      );
      for (const [i, word] of ids(7, 4).entries()) {
        const made = Array.from(await decode({ tokens: { data: Int32Array.of(word), shape: [1, 1] } }).data());
        compiled.counted(1);
        const expected = await model.forward(row([word], on), { state: eager, lastOnly: true }).data();
        for (const [k, value] of made.entries()) expect(Math.abs(value - expected[k]!), `token ${i}`).toBeLessThan(1e-5);
      }
      expect(compiled.length).toBe(7);
      for (const one of [step, decode]) one.release();
    } finally {
      on.close();
    }
  });
});

test.each([
  [{ memoryLength: -1 }, "TransformerXL: memoryLength must be a whole number from 0, got -1."],
  [{ memoryLength: 0, sameLength: true }, "with sameLength a token sees memoryLength positions, which is 0"],
  [{ dim: 9 }, "TransformerXL: dim must be even"],
  [{ initMemory: "ones" }, "initMemory must be one of empty, zeros"],
  [{ clampLength: 0 }, "clampLength must be a positive integer, got 0"],
  [{ tiedProjections: [true] }, "tied.projections must say for each of 3 clusters, got 1"],
])("refuses %j", async (config, message) => {
  await expect(seeded(config as Partial<TransformerXLConfig>)).rejects.toThrow(message);
});

test("refuses what does not fit, before anything is remembered", async () => {
  const model = await seeded();
  const state = model.initState({ batch: 1, capacity: 4 });
  expect(() => model.forward(row(ids(5)), { state })).toThrow("SegmentMemory: 5 more positions do not fit: 0 of 4 are filled.");
  expect(() => model.forward(rows([1], [2]), { state })).toThrow("tokens are [2, 1], but the state has 1 rows");
  expect(() => model.forward(row([1]), { state, keyMask: tensor([[true]]) })).toThrow("Tell the state with reset(padding)");
  expect(() => model.forward(row([1, 2]), { keyMask: tensor([[true]]) })).toThrow(
    "keyMask must be bool [1, 2] to match tokens, got [1, 1]",
  );
  expect(() => model.forward(tensor(Int32Array.of(1, 2)))).toThrow("TransformerXL: tokens must be [batch, length], got [2]");
  expect(() => state.reset([5])).toThrow("padding must be 1 counts from 0 to the capacity 4");
  expect(state.length).toBe(0);
});
