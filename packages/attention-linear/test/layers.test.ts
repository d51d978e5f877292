import { type CausalLM, Embedding, isTraining, Linear, loadStateDict, Module, namedModules, stateDict, withTraining } from "@x/nn";
import { RMSNorm } from "@x/norm";
import { softmax } from "@x/ops";
import { RotaryPositions, XPosPositions } from "@x/posenc";
import {
  arange,
  checkpointed,
  compile,
  Generator,
  grad,
  randn,
  reference,
  setDefaultDevice,
  Tensor,
  tensor,
  valueAndGrad,
  withDevice,
  withGenerator,
} from "@x/tensor";
import { describeDevices } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import {
  FavorFeatures,
  KernelFeatures,
  LinearAttention,
  LinearState,
  PerformerAttention,
  type PerformerOptions,
  performerPresets,
  redrawProjections,
} from "../src/index.ts";
import { book, bookFavor, devices } from "./support.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 1e-5, rtol: 1e-4 };
const seeded = <R>(fn: () => R, seed = 1): R => withGenerator(new Generator({ seed, device }), fn);
const make = (options: Partial<PerformerOptions> = {}): PerformerAttention =>
  seeded(() => new PerformerAttention({ dim: 12, numHeads: 6, causal: true, chunk: 4, ...options }));

const heads = (layer: Linear, x: Tensor, count: number) => {
  const [batch, length] = x.shape as [number, number];
  const y = layer.forward(x);
  return y.reshape([batch, length, count, y.shape[2]! / count]).permute([0, 2, 1, 3]);
};
const joined = (o: Tensor) => o.permute([0, 2, 1, 3]).reshape([o.shape[0]!, o.shape[2]!, o.shape[1]! * o.shape[3]!]);

/** The layer in plain loops: projections, norms, rotation, FAVOR+ for the first heads, softmax in a window for the last. */
async function bookLayer(layer: PerformerAttention, x: Tensor, positions = arange(x.shape[1]!)): Promise<Tensor> {
  const { numHeads, numKvHeads, rotation } = layer;
  const normed = (y: Tensor, norm: { forward(x: Tensor): Tensor } | undefined) => norm?.forward(y) ?? y;
  const turned = (y: Tensor, by: "forward" | "forwardKeys") => rotation?.[by]?.(y, positions) ?? rotation?.forward(y, positions) ?? y;
  const q = turned(normed(heads(layer.query, x, numHeads), layer.queryNorm), "forward");
  const k = turned(normed(heads(layer.key, x, numKvHeads), layer.keyNorm), "forwardKeys");
  const v = heads(layer.value, x, numKvHeads);
  const { projection, eps } = layer.features as FavorFeatures;
  const omega = (await projection.projection_matrix.value.array()) as number[][];
  const whole = numHeads - layer.localHeads;
  const shared = numHeads / numKvHeads;
  const first = { q: q.slice(1, 0, whole), k: k.slice(1, 0, whole / shared), v: v.slice(1, 0, whole / shared) };
  const { causal, maskMode, stabilizer, keySumEps } = layer.settings;
  const outs = await book(first, bookFavor(omega, eps), {
    causal,
    keySumEps: causal ? keySumEps : 0,
    global: stabilizer === "global",
    valuesOnly: maskMode !== "keys",
  });
  const o = tensor(outs.flat(3), { shape: first.q.shape });
  if (layer.localHeads === 0) return layer.output.forward(joined(o));
  const length = x.shape[1]!;
  const distance = arange(length).sub(arange(length).reshape([length, 1]));
  const seen = distance.ge(-layer.localWindow).and(distance.le(causal ? 0 : layer.localWindow));
  const near = Array.from({ length: layer.localHeads }, (_, i) => {
    const of = (y: Tensor, head: number) => y.slice(1, head, head + 1);
    const head = Math.floor((whole + i) / shared);
    const scores = of(q, whole + i)
      .matmul(of(k, head).transpose())
      .mul(layer.headDim ** -0.5);
    return softmax({ x: seen.expand(scores.shape).where(scores, -1e30) }).matmul(of(v, head));
  });
  return layer.output.forward(joined(Tensor.concat([o, ...near], 1)));
}

describe("PerformerAttention is what the books say", () => {
  const rotation = () => new RotaryPositions({ headDim: 8, maxLength: 32 });
  const cases: Record<string, () => PerformerAttention> = {
    "with a head of keys for each of queries": () => make(),
    "seeing everything": () => make({ causal: false }),
    "with keys shared by groups, no biases": () => make({ numKvHeads: 2, bias: false }),
    "with one head of keys, wider than dim / numHeads": () => make({ numKvHeads: 1, headDim: 4, numFeatures: 7 }),
    "with the last heads local": () => make({ localHeads: 2, localWindow: 2, eps: 0.01 }),
    "with local heads that share keys, both ways": () => make({ numKvHeads: 3, localHeads: 4, localWindow: 1, causal: false }),
    "with norms on heads, then rotation": () => {
      const layer = make({
        headDim: 8,
        numKvHeads: 2,
        rotation: rotation(),
        queryNorm: new RMSNorm({ dim: 8 }),
        keyNorm: new RMSNorm({ dim: 8 }),
      });
      for (const norm of [layer.queryNorm, layer.keyNorm] as RMSNorm[])
        norm.weight.write(Array.from({ length: 8 }, (_, i) => 0.5 + 0.3 * i));
      return layer;
    },
    "with keys that turn otherwise, local heads too": () =>
      make({ headDim: 8, localHeads: 3, localWindow: 2, rotation: new XPosPositions({ headDim: 8, maxLength: 32, scaleBase: 8 }) }),
    "as lucidrains has it": () => make({ ...performerPresets.lucidrains }),
    "as lucidrains has it, seeing everything": () => make({ ...performerPresets.lucidrains, causal: false }),
    "as Google has it": () => make({ ...performerPresets.google }),
  };
  test.each(Object.entries(cases))("%s", async (_, of) => {
    const layer = of();
    const x = seeded(() => randn([2, 7, 12]), 9);
    const positions = tensor(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 1, 2, 3, 4), { shape: [2, 7] });
    await expect(layer.forward(x, { positions })).toBeCloseToTensor(await bookLayer(layer, x, positions), close);
  });

  test("the presets are what the published code sets", () => {
    const lucidrains = make({ ...performerPresets.lucidrains });
    expect((lucidrains.features as FavorFeatures).eps).toBe(1e-4);
    expect(lucidrains.settings).toMatchObject({ stabilizer: "global", maskMode: "values-only", keySumEps: 1e-6 });
    expect([lucidrains.query.bias, lucidrains.output.bias?.shape]).toEqual([undefined, [12]]);
    expect(make({ ...performerPresets.google }).features.featureDim).toBe(256);
  });

  test("LinearAttention takes any features", async () => {
    const features = new KernelFeatures({ headDim: 2, kernel: "elu1" });
    const layer = seeded(() => new LinearAttention({ dim: 12, numHeads: 6, numKvHeads: 3, causal: true, features }));
    const x = randn([2, 7, 12]);
    const phi = (row: readonly number[]) => row.map((value) => (value > 0 ? value + 1 : Math.exp(value)));
    const [q, k, v] = [heads(layer.query, x, 6), heads(layer.key, x, 3), heads(layer.value, x, 3)];
    const expected = await book({ q, k, v }, { query: phi, key: phi }, { causal: true });
    const o = tensor(expected.flat(3), { shape: [2, 6, 7, 2] });
    await expect(layer.forward(x)).toBeCloseToTensor(layer.output.forward(joined(o)), close);
  });

  test("a left-padded row is the row without its padding", async () => {
    const layer = make({ localHeads: 3, localWindow: 2 });
    const row = randn([1, 4, 12]);
    const padded = Tensor.concat([randn([1, 3, 12]), row], 1);
    const keyMask = tensor([[false, false, false, true, true, true, true]]);
    await expect(layer.forward(padded, { keyMask }).slice(1, 3, 7)).toBeCloseToTensor(layer.forward(row), close);
  });

  test("dropout acts on the result, while training alone", async () => {
    const layer = make({ dropout: 0.5 });
    const x = randn([2, 5, 12]);
    await expect(layer.forward(x)).toBeCloseToTensor(make().forward(x), { atol: 0, rtol: 0 });
    const whole = [...(await layer.forward(x).data())];
    const thin = [...(await seeded(() => withTraining(true, () => layer.forward(x)), 4).data())];
    const dropped = thin.filter((value) => value === 0).length;
    expect(dropped).toBeGreaterThan(30);
    expect(dropped).toBeLessThan(90);
    for (const [i, value] of thin.entries()) if (value !== 0) expect(value).toBeCloseTo(2 * whole[i]!, 4);
  });
});

describe("random projections", () => {
  test("are saved under their published names, and loaded with their age", async () => {
    const [a, b] = [
      make({ redrawEvery: 5 }),
      seeded(() => new PerformerAttention({ dim: 12, numHeads: 6, causal: true, redrawEvery: 5 }), 2),
    ];
    for (let i = 0; i < 3; i++) redrawProjections(a);
    const state = await stateDict(a);
    expect(state.get("features.projection.projection_matrix")?.shape).toEqual([1, 2]);
    expect([...state.get("features.projection.calls_since_last_redraw")!.values]).toEqual([3]);
    expect(a.parameters().some(({ shape }) => String(shape) === "1,2")).toBe(false);
    loadStateDict(b, state);
    const x = randn([1, 5, 12]);
    await expect(b.forward(x)).toBeCloseToTensor(a.forward(x), close);
    // Two more, then both are due, drawn from the same stream.
    const draw = (model: Module) => [1, 2, 3].map(() => redrawProjections(model, { generator: new Generator({ seed: 7, device }) }));
    expect([draw(a), draw(b)]).toEqual([
      [0, 0, 1],
      [0, 0, 1],
    ]);
    await expect(b.forward(x)).toBeCloseToTensor(a.forward(x), close);
  });

  test("serve their number of training forwards, then are drawn anew, once where they are shared", async () => {
    const features = seeded(() => new FavorFeatures({ headDim: 2, redrawEvery: 3 }));
    const layer = () => new LinearAttention({ dim: 4, numHeads: 2, features });
    class Two extends Module {
      readonly layers = [layer(), layer()];
      readonly still = new PerformerAttention({ dim: 4, numHeads: 2, redrawEvery: 0 });
      forward(): void {}
    }
    const model = new Two();
    const fixed = await model.still.features.forward(randn([1, 1, 1, 2]), { side: "query", causal: false });
    expect(fixed.values.shape).toEqual([1, 1, 1, 1]);
    const matrices = async () => [...(await features.projection.projection_matrix.data())].join();
    const seen: string[] = [];
    for (let i = 0; i < 7; i++) {
      redrawProjections(model);
      seen.push(await matrices());
    }
    expect(seen.map((matrix) => seen.indexOf(matrix))).toEqual([0, 0, 0, 3, 3, 3, 6]);
    expect(namedModules(model).get("still.features.projection")).toBe(
      model.still.features.parameters().length === 0 && (model.still.features as FavorFeatures).projection,
    );
  });

  test("never change between a forward and its backward pass", () => {
    const layer = make();
    const { projection } = layer.features as FavorFeatures;
    const x = randn([1, 5, 12]);
    const between = (body: () => Tensor) => () =>
      grad(() => {
        const y = body().square().sum();
        projection.redraw();
        return y;
      }, layer.parameters());
    expect(between(() => layer.forward(x))).toThrow(/written|write/);
    expect(() => compile(() => ({ n: redrawProjections(layer) && x }), { device })({})).toThrow(/cell.write/);
  });

  test("recomputation in a checkpointed block gives the same gradients", async () => {
    const layer = make({ dropout: 0.3 });
    const x = randn([1, 9, 12]);
    const run = (body: (fn: () => Tensor) => Tensor) =>
      seeded(
        () =>
          withTraining(true, () =>
            grad(
              () =>
                body(() => layer.forward(x))
                  .square()
                  .sum(),
              layer.parameters(),
            ),
          ),
        6,
      );
    const [plain, again] = [run((fn) => fn()), run(checkpointed)];
    for (const [i, gradient] of plain.entries()) await expect(again[i]!).toBeCloseToTensor(gradient, { atol: 1e-6, rtol: 1e-5 });
  });
});

/** A small language model of Performer layers: what training and generation ask for. */
class Language extends Module implements CausalLM {
  readonly vocabSize = 7;
  readonly maxLength = undefined;
  readonly tokens = new Embedding({ vocabSize: 7, dim: 8 });
  readonly layers = Array.from(
    { length: 2 },
    () =>
      new PerformerAttention({ dim: 8, numHeads: 2, causal: true, numFeatures: 8, localHeads: 1, localWindow: 2, chunk: 4, dropout: 0.1 }),
  );
  readonly head = new Linear({ inputDim: 8, outputDim: 7 });
  forward(tokens: Tensor, { state, lastOnly = false }: { state?: unknown; lastOnly?: boolean } = {}): Tensor {
    const memory = state as LinearState | undefined;
    memory?.checkRoom(tokens.shape);
    const x = this.layers.reduce((y, layer, i) => y.add(layer.forward(y, { cache: memory?.layers[i] })), this.tokens.forward(tokens));
    const length = tokens.shape[1]!;
    memory?.advance(length);
    return this.head.forward(lastOnly ? x.slice(1, length - 1, length) : x);
  }
  initState({ batch, capacity }: { batch: number; capacity: number }): LinearState {
    return new LinearState({ batch, capacity, layers: this.layers, device: this.tokens.weight.device });
  }
}

await describeDevices(
  devices,
  (device, { test }) => {
    const model = () => withDevice(device, () => withGenerator(new Generator({ seed: 1, device }), () => new Language()));

    test("trains under compile as eagerly, redraws included, and learns", async () => {
      const train = async (eager: boolean): Promise<number[]> => {
        const language = model();
        const [generator, draws] = [new Generator({ seed: 2, device }), new Generator({ seed: 3, device })];
        const parameters = language.parameters();
        const step = compile(
          ({ tokens }: { tokens: Tensor }) =>
            generator.step(() =>
              withTraining(true, () => {
                const { value, gradients } = valueAndGrad(() => {
                  const logits = language.forward(tokens.slice(1, 0, 10));
                  const picked = softmax({ x: logits }).gather(tokens.slice(1, 1, 11).unsqueeze(2), 2);
                  return picked.add(1e-6).log().mean().neg();
                }, parameters);
                for (const [i, parameter] of parameters.entries()) parameter.set(parameter.value.sub(gradients[i]!.mul(0.5)));
                generator.advance();
                return { loss: value };
              }),
            ),
          { device, eager },
        );
        const tokens = {
          data: Int32Array.from({ length: 22 }, (_, i) => (i * 3 + (i > 10 ? 1 : 0)) % 7),
          shape: [2, 11],
          dtype: "i32" as const,
        };
        const losses: number[] = [];
        for (let i = 0; i < 25; i++) {
          redrawProjections(language, { generator: draws });
          losses.push((await step({ tokens }).loss.data())[0]!);
        }
        step.release();
        return losses;
      };
      const [compiled, eager] = await withDevice(device, async () => [await train(false), await train(true)] as const);
      // On the CPU to the bit.
      if (device.name.startsWith("webgpu"))
        for (const [i, loss] of compiled.entries()) expect(Math.abs(loss - eager[i]!)).toBeLessThan(1e-3);
      else expect(compiled).toEqual(eager);
      expect(compiled.at(-1)).toBeLessThan(0.6 * compiled[0]!);
      expect(isTraining()).toBe(false);
    });
  },
  { describe, test },
);

describe("weights", () => {
  const variants: Record<string, () => Partial<PerformerOptions>> = {
    "causal, with a floor": () => ({}),
    "without a floor, unchunked, with shared heads": () => ({ eps: 0, chunk: 64, numKvHeads: 2 }),
    "both ways": () => ({ causal: false }),
    "some heads in a window, rotated": () => ({
      ...{ localHeads: 2, localWindow: 2, numKvHeads: 3, dim: 24 },
      rotation: new RotaryPositions({ headDim: 4, maxLength: 16 }),
    }),
    "as performer-pytorch has them": () => performerPresets.lucidrains,
  };

  test.each(Object.entries(variants))("%s: times the values they make the layer's own output", async (_, options) => {
    const layer = make(options());
    const { numHeads, numKvHeads } = layer;
    const x = seeded(() => randn([2, 9, layer.query.inputDim]), 4);
    const [positions, keyMask] = [arange(9), arange(18).ne(11).reshape([2, 9])];
    const weights = layer.weights(x, { positions, keyMask });
    expect(weights.shape).toEqual([2, numHeads, 9, 9]);
    const v = heads(layer.value, x, numKvHeads);
    const shared = v
      .unsqueeze(2)
      .expand([2, numKvHeads, numHeads / numKvHeads, 9, layer.headDim])
      .reshape([2, numHeads, 9, layer.headDim]);
    const expected = layer.forward(x, { positions, keyMask });
    await expect(layer.output.forward(joined(weights.matmul(shared)))).toBeCloseToTensor(expected, close);
    expect(await weights.slice(0, 1, 2).slice(3, 2, 3).abs().max().item()).toBe(0);
  });

  test("are the kernel's values of two positions over those of all that are seen", async () => {
    const layer = make({ eps: 0 });
    const x = seeded(() => randn([1, 5, 12]), 4);
    const of = (projection: Linear, side: "query" | "key") => layer.features.forward(heads(projection, x, 6), { side, causal: true });
    const [q, k] = [of(layer.query, "query"), of(layer.key, "key")];
    const kernel = q.values.matmul(k.values.mul(k.logScale!.exp()).transpose());
    const past = arange(5)
      .le(arange(5).reshape([5, 1]))
      .cast("f32");
    const seen = kernel.mul(past);
    await expect(layer.weights(x)).toBeCloseToTensor(seen.div(seen.sum(-1, { keepDims: true })), close);
  });
});
