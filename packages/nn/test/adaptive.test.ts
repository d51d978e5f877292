import {
  type Device,
  Generator,
  grad,
  type Parameter,
  reference,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  withDevice,
  withGenerator,
} from "@x/tensor";
import { Stream } from "@x/testing";
import { beforeAll, describe, expect, test } from "vitest";
import { AdaptiveEmbedding, AdaptiveLogSoftmax, type AdaptiveLogSoftmaxOptions, cellAliases } from "../src/index.ts";

/** Four clusters of 3, 2, 4 and 2 words, of 8, 4, 2 and 1 numbers. */
const sizes = { vocabSize: 11, cutoffs: [3, 5, 9], dim: 6, embeddingDim: 8, divValue: 2 };
const kinds = {
  "four clusters": sizes,
  "one table, projected": { ...sizes, divValue: 1 },
  "one table of the model's width": { ...sizes, divValue: 1, embeddingDim: 6 },
  "one cluster": { ...sizes, cutoffs: [], divValue: 1, embeddingDim: 6 },
  "one cluster, projected": { ...sizes, cutoffs: [] },
} satisfies Record<string, AdaptiveLogSoftmaxOptions>;

type Values = Map<string, { readonly shape: readonly number[]; readonly values: Float64Array }>;
async function valuesOf(cells: ReadonlyMap<string, Parameter>): Promise<Values> {
  const entries = [...cells].map(
    async ([name, cell]) => [name, { shape: cell.shape, values: Float64Array.from(await cell.data()) }] as const,
  );
  return new Map(await Promise.all(entries));
}
const at = ({ shape, values }: { shape: readonly number[]; values: Float64Array }, row: number) =>
  Array.from(values.subarray(row * shape[1]!, (row + 1) * shape[1]!));
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const logSoftmaxOf = (logits: readonly number[]) => {
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
  return logits.map((value) => value - total);
};
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const edgesOf = ({ cutoffs, vocabSize }: { cutoffs: readonly number[]; vocabSize: number }) => [0, ...cutoffs, vocabSize];

/** Equations in plain loops, in f64. */
function embed(options: AdaptiveLogSoftmaxOptions, values: Values, word: number): number[] {
  const edges = options.divValue === 1 ? [0, options.vocabSize] : edgesOf(options);
  const cluster = edges.findIndex((_, i) => word < edges[i + 1]!);
  const row = at(values.get(`tables.${cluster}`)!, word - edges[cluster]!);
  const projection = values.get(`projections.${cluster}`);
  return projection ? range(options.dim).map((k) => dot(at(projection, k), row)) : row;
}

function logProbabilities(options: AdaptiveLogSoftmaxOptions, values: Values, x: readonly number[]): number[] {
  const edges = edgesOf(options);
  const tails = edges.length - 2;
  const projected = (i: number) => {
    const projection = values.get(`projections.${i}`);
    if (!projection) return x;
    const width = projection.shape[1]!;
    return range(width).map((k) => x.reduce((sum, value, j) => sum + value * projection.values[j * width + k]!, 0));
  };
  const first = projected(0);
  const logits = (i: number) => {
    const own = i === 0 ? first : projected(i);
    return range(edges[i + 1]! - edges[i]!).map((k) => {
      const [table, row] = options.divValue === 1 ? [0, edges[i]! + k] : [i, k];
      return dot(own, at(values.get(`weights.${table}`)!, row)) + values.get(`biases.${table}`)!.values[row]!;
    });
  };
  const clusters = range(tails).map((k) => dot(first, at(values.get("clusterWeight")!, k)) + values.get("clusterBias")!.values[k]!);
  const head = logSoftmaxOf([...logits(0), ...clusters]);
  const shortlist = edges[1]!;
  return range(edges.length - 1).flatMap((i) => {
    if (i === 0) return head.slice(0, shortlist);
    const column = shortlist + (options.clusterOrder === "descending" ? tails - i : i - 1);
    return logSoftmaxOf(logits(i)).map((value) => head[column]! + value);
  });
}

/** What central differences say of the sum of `of`, for every number of every parameter. */
function slopes(values: Values, of: (values: Values) => number): Map<string, number[]> {
  const h = 1e-5;
  return new Map(
    [...values].map(([name, { values: numbers }]) => [
      name,
      Array.from(numbers, (value, i) => {
        const shifted = (by: number) => {
          numbers[i] = value + by;
          const result = of(values);
          numbers[i] = value;
          return result;
        };
        return (shifted(h) - shifted(-h)) / (2 * h);
      }),
    ]),
  );
}

function expectClose(actual: ArrayLike<number>, expected: readonly number[], tolerance: number, name = ""): void {
  expect(actual.length, name).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value), `${name} ${i}: ${actual[i]} for ${value}`).toBeLessThan(tolerance);
}

const wide = { init: (shape: readonly number[], g: Generator) => g.hostNormal(shape.reduce((a, b) => a * b, 1)) };
const inits = { init: wide.init, projectionInit: wide.init };
/** Biases begin as zeros; these do not. */
const fill = (cells: ReadonlyMap<string, Parameter>) => {
  for (const [name, cell] of cells) if (/bias/i.test(name)) cell.write(new Stream(name).normal(cell.shape[0]!));
};

const words = Int32Array.of(0, 4, 10, 2, 5, 8, 3, 9, -100, 1, 6, 7);

const device = reference();
beforeAll(() => setDefaultDevice(device));

describe.each(Object.entries(kinds))("%s", (_kind, options) => {
  test("the embedding is each cluster's row, projected, with its gradients", async () => {
    const layer = made(device, () => new AdaptiveEmbedding({ ...options, ...inits }));
    const values = await valuesOf(layer.namedParameters());
    const ids = words.map((word) => Math.max(0, word));
    const indices = tensor(ids, { shape: [3, 4], device });
    const expected = (given: Values) => [...ids].flatMap((word) => embed(options, given, word));
    const y = layer.forward(indices);
    expect(y.shape).toEqual([3, 4, options.dim]);
    expectClose(await y.data(), expected(values), 1e-5);
    const names = [...layer.namedParameters().keys()];
    const gradients = grad(() => layer.forward(indices).square().sum(), layer.parameters());
    const wanted = slopes(values, (given) => expected(given).reduce((sum, value) => sum + value * value, 0));
    for (const [i, name] of names.entries()) expectClose(await gradients[i]!.data(), wanted.get(name)!, 2e-3, name);
  });

  test.each(["ascending", "descending"] as const)(
    "losses and log-probabilities are the equations, with gradients; clusters %s",
    async (clusterOrder) => {
      const given = { ...options, clusterOrder };
      const layer = made(device, () => new AdaptiveLogSoftmax({ ...given, ...inits }));
      fill(layer.namedParameters());
      const values = await valuesOf(layer.namedParameters());
      const rows = new Stream("x").normal(words.length * options.dim).map((value) => Math.fround(value));
      const x = tensor(Float32Array.from(rows), { shape: [3, 4, options.dim], device });
      const rowOf = (i: number) => Array.from(rows.slice(i * options.dim, (i + 1) * options.dim));
      const expected = (of: Values) => range(words.length).map((i) => logProbabilities(given, of, rowOf(i)));
      const all = layer.forward(x);
      expect(all.shape).toEqual([3, 4, options.vocabSize]);
      expectClose(await all.data(), expected(values).flat(), 1e-4);
      const sums = (await all.exp().sum(-1).data()) as Float32Array;
      for (const sum of sums) expect(Math.abs(sum - 1)).toBeLessThan(1e-5);

      const targets = tensor(words, { shape: [3, 4], device });
      const lossesOf = (of: Values) => expected(of).map((row, i) => (words[i]! < 0 ? 0 : -row[words[i]!]!));
      const run = () => layer.losses(x, targets, { chunk: 5 });
      expectClose(await run().data(), lossesOf(values), 1e-4);
      const names = [...layer.namedParameters().keys()];
      const { parameters, input } = gradientsOf(run, layer.parameters(), x);
      const wanted = slopes(values, (of) => lossesOf(of).reduce((a, b) => a + b * b, 0));
      for (const [i, name] of names.entries()) expectClose(await parameters[i]!.data(), wanted.get(name)!, 5e-3, name);
      const byX = slopes(new Map([["x", { shape: [words.length, options.dim], values: Float64Array.from(rows) }]]), (moved) => {
        const numbers = moved.get("x")!;
        return words.reduce((sum, word, i) => sum + (word < 0 ? 0 : logProbabilities(given, values, at(numbers, i))[word]! ** 2), 0);
      });
      expectClose(await input.data(), byX.get("x")!, 5e-3, "x");
    },
  );
});

function gradientsOf(run: () => Tensor, cells: readonly Parameter[], x: Tensor): { parameters: readonly Tensor[]; input: Tensor } {
  const all = grad(() => run().square().sum(), [...cells, x]);
  return { parameters: all.slice(0, -1), input: all.at(-1)! };
}
const made = <T>(on: Device, make: () => T): T => withDevice(on, () => withGenerator(new Generator({ seed: 5, device: on }), make));
describe("tied to an embedding", () => {
  const tied = (tie: Partial<NonNullable<AdaptiveLogSoftmaxOptions["tied"]>> = {}, options: AdaptiveLogSoftmaxOptions = sizes) =>
    made(device, () => {
      const embedding = new AdaptiveEmbedding(options);
      return { embedding, softmax: new AdaptiveLogSoftmax({ ...options, tied: { embedding, ...tie } }) };
    });

  test("tables are shared, projections where the list says so", () => {
    const { embedding, softmax } = tied({ projections: [false, true, true, false] });
    expect(softmax.weights.map((cell, i) => cell === embedding.tables[i])).toEqual([true, true, true, true]);
    expect(softmax.projections.map((cell, i) => cell === embedding.projections[i])).toEqual([false, true, true, false]);
    expect(tied({ tables: false }).softmax.weights.some((cell, i) => cell === embedding.tables[i])).toBe(false);
  });

  test("of one table all clusters share its one projection", () => {
    const { embedding, softmax } = tied({ projections: [false, true, true, true] }, { ...sizes, divValue: 1 });
    expect(softmax.weights).toEqual([embedding.tables[0]]);
    expect(softmax.projections.map((cell) => cell === embedding.projections[0])).toEqual([false, true, true, true]);
    expect([...cellAliases(softmax).values()]).toEqual(["projections.1", "projections.1"]);
  });

  test("the gradient of a table is the sum of both uses", async () => {
    const { embedding, softmax } = tied({ projections: [false, true, true, true] });
    const targets = tensor(Int32Array.of(4, 10, 1), { device });
    const x = tensor(new Stream("x").normal(18), { shape: [3, 6], dtype: "f32", device });
    const tables = [embedding.tables[1]!, embedding.projections[1]!];
    const both = grad(() => softmax.losses(embedding.forward(targets).add(x), targets).sum(), tables);
    const y = embedding.forward(targets);
    const output = grad(() => softmax.losses(y.add(x), targets).sum(), [...tables, y]);
    const input = grad(() => embedding.forward(targets).mul(output[2]!).sum(), tables);
    for (const [i, sum] of both.entries()) {
      const [one, two] = [await input[i]!.data(), await output[i]!.data()];
      expect(one.some((value) => value !== 0) && two.some((value) => value !== 0)).toBe(true);
      expectClose(
        await sum.data(),
        Array.from(one, (value, k) => value + two[k]!),
        1e-6,
      );
    }
  });

  test("another shape is refused, with what to do", () => {
    const embedding = made(device, () => new AdaptiveEmbedding({ ...sizes, embeddingDim: 16 }));
    expect(() => made(device, () => new AdaptiveLogSoftmax({ ...sizes, tied: { embedding } }))).toThrow(
      "AdaptiveLogSoftmax: tied.embedding has tables of [3, 16], [2, 8], [4, 4], [2, 2], but cluster 0 wants [3, 8]",
    );
  });
});

test("losses hold no more logits than those of a chunk", () => {
  const peak = (run: (layer: AdaptiveLogSoftmax, x: Tensor, targets: Tensor) => Tensor) => {
    const device = reference();
    const layer = made(device, () => new AdaptiveLogSoftmax({ vocabSize: 600, cutoffs: [200, 400], dim: 1 }));
    const x = tensor(new Float32Array(64), { shape: [64, 1], device });
    const targets = tensor(
      Int32Array.from({ length: 64 }, (_, i) => i * 9),
      { device },
    );
    scope(() => grad(() => run(layer, x, targets), layer.parameters()));
    return device.memory().peak;
  };
  const whole = peak((layer, x, targets) => layer.forward(x).gather(targets.unsqueeze(1), 1).sum());
  expect(peak((layer, x, targets) => layer.losses(x, targets, { chunk: 4 }).sum())).toBeLessThan(whole / 5);
});

test("another index than -100 is ignored, and only where it is the target itself", async () => {
  const layer = made(device, () => new AdaptiveLogSoftmax({ ...sizes, ...inits }));
  const x = tensor(new Stream("x").normal(12), { shape: [2, 6], dtype: "f32", device });
  // Word 5 is the first of its cluster: number 0 within it.
  const targets = tensor(Int32Array.of(0, 5), { device });
  const [plain, ignoring] = [await layer.losses(x, targets).data(), await layer.losses(x, targets, { ignoreIndex: 0 }).data()];
  expect(plain[0]).toBeGreaterThan(0);
  expect([...ignoring]).toEqual([0, plain[1]]);
});

test("what does not fit is refused", () => {
  const make = (options: Partial<AdaptiveLogSoftmaxOptions>) => () => made(device, () => new AdaptiveLogSoftmax({ ...sizes, ...options }));
  expect(make({ cutoffs: [5, 3] })).toThrow(
    "AdaptiveLogSoftmax: cutoffs must be whole numbers that ascend between 0 and vocabSize 11, got [5, 3].",
  );
  expect(make({ cutoffs: [11] })).toThrow("between 0 and vocabSize 11");
  expect(make({ divValue: 4 })).toThrow("cluster 2 has no numbers left of embeddingDim 8 after dividing by divValue 4 2 times");
  expect(make({ clusterOrder: "sideways" as "ascending" })).toThrow("clusterOrder must be one of ascending, descending");
  const layer = make({})();
  expect(() => layer.forward(tensor(new Float32Array(8), { shape: [1, 8], device }))).toThrow(
    "AdaptiveLogSoftmax: x must be [..., 6], got [1, 8]",
  );
});
