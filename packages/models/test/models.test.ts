import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvCache, type KvCacheOptions, QuantizedKvCache, SlidingKvCache } from "@x/attention";
import { writeFile as fileSink, fileSource, openSafetensors, published, type SavedTensor, saveCheckpoint } from "@x/checkpoint";
import { meanCrossEntropy } from "@x/ops";
import { Generator, reference, setDefaultDevice, tensor, valueAndGrad, withGenerator } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromPretrained, GPT2, gpt2Names, Llama, llamaNames } from "../src/index.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const seeded = <T>(make: () => T): T => withGenerator(new Generator({ seed: 7, device }), make);
const sizes = { vocabSize: 11, maxLength: 8, dim: 12, numLayers: 2, numHeads: 3 };
const gpt2 = (options = {}) => seeded(() => new GPT2({ ...sizes, ...options }));
const llama = (options = {}) => seeded(() => new Llama({ ...sizes, numKvHeads: 1, hiddenDim: 20, ...options }));
const tokens = tensor([[1, 2, 3, 4, 5]], { dtype: "i32", device });

/** Mean and standard deviation of a parameter. */
async function statistics(cell: { data(): Promise<ArrayLike<number>> }) {
  const values = Array.from(await cell.data());
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}

describe("first values", () => {
  test("of GPT-2 are nanoGPT's: 0.02, less where a branch ends in the stream, biases 0, norms 1", async () => {
    const model = seeded(() => new GPT2({ vocabSize: 300, maxLength: 64, dim: 96, numLayers: 8, numHeads: 4 }));
    for (const [name, cell] of model.namedParameters()) {
      const { mean, deviation } = await statistics(cell);
      const kind = name.replace(/^blocks\.\d+\./, "");
      if (kind.endsWith("bias")) expect([name, mean, deviation]).toEqual([name, 0, 0]);
      else if (/norm\d?\.weight/.test(kind)) expect([name, mean, deviation]).toEqual([name, 1, 0]);
      else {
        const expected = kind.includes("output") ? 0.02 / Math.sqrt(16) : 0.02;
        expect(Math.abs(deviation / expected - 1), name).toBeLessThan(0.05);
        expect(Math.abs(mean), name).toBeLessThan(expected / 10);
      }
    }
  });

  test("follow the seed", async () => {
    const [a, b, c] = [gpt2(), gpt2(), withGenerator(new Generator({ seed: 8, device }), () => new GPT2(sizes))];
    expect(await a.tokens.weight.data()).toEqual(await b.tokens.weight.data());
    expect(await a.tokens.weight.data()).not.toEqual(await c.tokens.weight.data());
  });
});

describe.each([
  ["GPT2", gpt2, gpt2Names],
  ["Llama", llama, llamaNames],
] as const)("%s", (name, make, names) => {
  test("gives logits of every position, of the last alone, and hidden states whose last is normalised", async () => {
    const model = make();
    const logits = model.forward(tokens);
    expect(logits.shape).toEqual([1, 5, 11]);
    const last = model.forward(tokens, { lastOnly: true });
    expect(last.shape).toEqual([1, 1, 11]);
    expect(await last.data()).toEqual(await logits.slice(1, 4, 5).data());
    const states = model.hiddenStates(tokens);
    expect(states.map(({ shape }) => shape)).toEqual([
      [1, 5, 12],
      [1, 5, 12],
      [1, 5, 12],
    ]);
    expect(await model.logits(states[2]!).data()).toEqual(await logits.data());
  });

  test("a token changes nothing before it", async () => {
    const model = make();
    const other = tensor([[1, 2, 3, 9, 5]], { dtype: "i32" });
    const [a, b] = await Promise.all([model.forward(tokens), model.forward(other)].map((logits) => logits.slice(1, 0, 4).data()));
    expect(a!.subarray(0, 33)).toEqual(b!.subarray(0, 33));
    expect(a!.subarray(33)).not.toEqual(b!.subarray(33));
  });

  test("a tied head is the token table, and its gradient is the sum of both uses", async () => {
    const [tied, apart] = [make({ tied: true }), make({ tied: false })];
    expect(tied.head).toBeUndefined();
    expect(apart.namedParameters().has("head.weight")).toBe(true);
    for (const [path, cell] of apart.namedParameters()) cell.set((tied.namedParameters().get(path) ?? tied.tokens.weight).value);
    const gradients = (model: GPT2 | Llama, cells: (typeof tied.tokens.weight)[]) =>
      valueAndGrad(() => meanCrossEntropy(model.forward(tokens).slice(1, 0, 4), tokens.slice(1, 1, 5)), cells).gradients;
    const [whole] = gradients(tied, [tied.tokens.weight]);
    const [table, head] = gradients(apart, [apart.tokens.weight, apart.head!.weight]);
    const [a, b] = await Promise.all([whole!.data(), table!.add(head!).data()]);
    for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i]!, 6);
  });

  test("wrong inputs are told with the model's name", () => {
    const model = make();
    expect(() => model.forward(tensor([1, 2], { dtype: "i32" }))).toThrow(`${name}: tokens must be [batch, length], got [2]`);
    expect(() => model.forward(tensor([[1.5, 2]]))).toThrow(/i32/);
    expect(() => model.forward(tensor(new Int32Array(9), { shape: [1, 9] }))).toThrow("9 positions, but the table has 8");
    const state = model.initState({ batch: 2, capacity: 4 });
    expect(() => model.forward(tokens, { state })).toThrow("tokens are [1, 5], but the state has 2 rows");
  });

  test("a state cannot pass the last position unless the model stretches", () => {
    const model = make();
    const state = model.initState({ batch: 1, capacity: 12 });
    model.forward(tokens, { state });
    expect(() => model.forward(tokens, { state })).toThrow("5 positions after 5 pass the model's maxLength 8");
  });

  test("goes out under its published names and comes back", async () => {
    const model = make({ tied: false });
    const saved = new Map<string, SavedTensor>();
    for (const [path, cell] of model.namedParameters())
      saved.set(path, { shape: cell.shape, dtype: cell.dtype, values: await cell.data() });
    const home = await mkdtemp(join(tmpdir(), "models-"));
    try {
      const file = join(home, "model.safetensors");
      await fileSink(file, (sink) => saveCheckpoint(saved, sink, names));
      const reader = await openSafetensors(fileSource(file));
      expect([...reader.tensors.keys()].sort()).toEqual(
        published(saved, names)
          .map(([path]) => path)
          .sort(),
      );
      expect(reader.tensors.has("lm_head.weight")).toBe(true);
      await reader.close();
      const config =
        name === "GPT2"
          ? { model_type: "gpt2", vocab_size: 11, n_positions: 8, n_embd: 12, n_layer: 2, n_head: 3 }
          : {
              model_type: "llama",
              vocab_size: 11,
              max_position_embeddings: 8,
              hidden_size: 12,
              num_hidden_layers: 2,
              num_attention_heads: 3,
              num_key_value_heads: 1,
              intermediate_size: 20,
            };
      await writeFile(join(home, "config.json"), JSON.stringify(config));
      const back = await fromPretrained(home);
      expect(await back.model.forward(tokens).data()).toEqual(await model.forward(tokens).data());
    } finally {
      await rm(home, { recursive: true });
    }
  });
});

test("Llama under dynamic scaling has no last position", async () => {
  const model = llama({ ropeScaling: { type: "dynamic", factor: 2, originalMaxLength: 8 } });
  expect(model.maxLength).toBeUndefined();
  expect(model.forward(tensor(new Int32Array(20), { shape: [1, 20] })).shape).toEqual([1, 20, 11]);
});

describe("Llama with a window", () => {
  const long = tensor([[1, 2, 3, 4, 5, 6, 7, 8]], { dtype: "i32", device });
  const wide = { ...sizes, maxLength: 32 };
  const make = (options = {}) => seeded(() => new Llama({ ...wide, numKvHeads: 1, hiddenDim: 20, window: 3, ...options }));
  const part = (from: number, to: number) => long.slice(1, from, to);

  test("a token sees as many positions as the window, itself included, in every layer", async () => {
    const model = make({ numLayers: 1 });
    const last = model.forward(long, { lastOnly: true });
    const positions = tensor([[5, 6, 7]], { dtype: "i32" });
    const three = model.forward(part(5, 8), { positions, lastOnly: true });
    await expect(three).toBeCloseToTensor(last, { atol: 1e-6, rtol: 1e-5 });
    const two = model.forward(part(6, 8), { positions: positions.slice(1, 1, 3), lastOnly: true });
    await expect(expect(two).toBeCloseToTensor(last, { atol: 1e-6, rtol: 1e-5 })).rejects.toThrow();
  });

  test.each([
    ["in every layer: a ring", {}, SlidingKvCache],
    ["in one layer: a cache of everything", { windowedLayers: [false, true] }, KvCache],
  ])("cached is the full forward past the window, %s", async (_, options, kind) => {
    const model = make(options);
    const whole = model.forward(long);
    const state = model.initState({ batch: 1, capacity: 8 });
    expect(state).toBeInstanceOf(kind);
    for (const [from, to] of [
      [0, 5],
      [5, 6],
      [6, 7],
      [7, 8],
    ] as const)
      await expect(model.forward(part(from, to), { state })).toBeCloseToTensor(whole.slice(1, from, to), { atol: 1e-6, rtol: 1e-4 });
  });

  test("a cache of another kind is the caller's; a text within the window needs no ring", () => {
    expect(make().initState({ batch: 1, capacity: 3 })).toBeInstanceOf(KvCache);
    const cache = (heads: KvCacheOptions) => new QuantizedKvCache(heads);
    expect(make().initState({ batch: 1, capacity: 8, cache })).toBeInstanceOf(QuantizedKvCache);
    expect(gpt2().initState({ batch: 1, capacity: 8, cache })).toBeInstanceOf(QuantizedKvCache);
  });

  test("misuse is told", () => {
    expect(() => make({ window: 0 })).toThrow("Llama: window must be a positive integer, got 0");
    expect(() => make({ windowedLayers: [true] })).toThrow("Llama: windowedLayers must say it of each of the 2 layers, got 1.");
  });
});

describe("fromPretrained", () => {
  let home: string;
  const config = {
    model_type: "llama",
    vocab_size: 11,
    max_position_embeddings: 8,
    hidden_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    intermediate_size: 20,
    tie_word_embeddings: true,
  };
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), "models-"));
  });
  afterAll(() => rm(home, { recursive: true }));

  /** Writes a directory with a one-layer Llama whose tensors `edit` changed. */
  async function put(edit: (tensors: Map<string, SavedTensor>) => void, json: unknown = config): Promise<string> {
    const path = await mkdtemp(join(home, "llama-"));
    const model = seeded(() => new Llama({ vocabSize: 11, maxLength: 8, dim: 12, numLayers: 1, numHeads: 3, hiddenDim: 20, tied: true }));
    const tensors = new Map<string, SavedTensor>();
    for (const [name, cell] of model.namedParameters())
      tensors.set(name, { shape: cell.shape, dtype: cell.dtype, values: await cell.data() });
    edit(tensors);
    await fileSink(join(path, "model.safetensors"), (sink) => saveCheckpoint(tensors, sink, llamaNames));
    await writeFile(join(path, "config.json"), JSON.stringify(json));
    return path;
  }
  const table = (tensors: Map<string, SavedTensor>) => tensors.get("tokens.weight")!;

  test("a tied head that is stored nevertheless stays tied", async () => {
    const { model, report } = await fromPretrained(await put((tensors) => tensors.set("head.weight", table(tensors))));
    expect(model.namedParameters().has("head.weight")).toBe(false);
    expect(report.tied).toEqual([{ name: "head.weight", from: "tokens.weight" }]);
  });

  test("a head of other values is not tied, whatever the configuration says", async () => {
    const other = { shape: [11, 12], dtype: "f32" as const, values: new Float32Array(132).fill(0.5) };
    const { model } = await fromPretrained(await put((tensors) => tensors.set("head.weight", other)));
    expect([...(await model.namedParameters().get("head.weight")!.data())]).toEqual([...other.values]);
  });

  test("what is missing, left over or of another shape is one error that lists it all", async () => {
    const path = await put((tensors) => {
      tensors.delete("norm.weight");
      tensors.set("layers.3.norm1.weight", tensors.get("layers.0.norm1.weight")!);
      tensors.set("layers.0.mlp.up.weight", { ...tensors.get("layers.0.mlp.up.weight")!, shape: [12, 20] });
    });
    const failure = fromPretrained(path);
    await expect(failure).rejects.toThrow(/model\.norm\.weight/);
    await expect(failure).rejects.toThrow(/model\.layers\.3\.input_layernorm\.weight/);
    await expect(failure).rejects.toThrow(/layers\.0\.mlp\.up\.weight: expected f32 \[20, 12\]/);
  });

  test("an unknown kind of model, and a directory without one, are told", async () => {
    await expect(fromPretrained(await put(() => {}, { model_type: "bert" }))).rejects.toThrow(
      'model_type in config.json is "bert"; known are gpt2, llama, mistral, qwen2, qwen3',
    );
    await expect(fromPretrained(await put(() => {}, {}))).rejects.toThrow("model_type in config.json is undefined");
    await expect(fromPretrained(join(home, "nowhere"))).rejects.toThrow(/nowhere/);
  });
});
