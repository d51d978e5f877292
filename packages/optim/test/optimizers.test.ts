import { compile, Parameter, type Tensor, tensor } from "@x/tensor";
import { describe, expect, test } from "vitest";
import { adamW, byGroup, lion, muon, type NamedParameters, type OptimizerRule, sgd } from "../src/index.ts";
import { contents, device, gradientsLike, parameterOf, someParameters } from "./support.ts";

const isMatrix = (_: string, { shape }: Parameter) => shape.length === 2;
const rules: Record<string, OptimizerRule> = {
  adamW: adamW({ betas: [0.9, 0.99], weightDecay: 0.1 }),
  sgd: sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
  "sgd with dampening": sgd({ momentum: 0.9, dampening: 0.5 }),
  lion: lion({ weightDecay: 0.3 }),
  "muon and adamW": byGroup({ muon: { match: isMatrix, optimizer: muon(), lrScale: 10 }, rest: { match: () => true, optimizer: adamW() } }),
};
type Arguments = { gradients: Tensor[]; lr: Tensor; scale: Tensor; skip: Tensor };

/** The same 30 steps with a varying rate, scale, and one skipped step whose gradients are NaN; returns what is left at the end, and around the skipped step. */
async function train(rule: OptimizerRule, parameters: NamedParameters, gradients: Tensor[][], eager: boolean) {
  const optimizer = rule.init(parameters);
  const body = ({ gradients, lr, scale, skip }: Arguments) => optimizer.update(gradients, { lr, gradScale: scale, skip: skip.ne(0) });
  const step = compile(body as never, { eager }) as unknown as (args: object) => void;
  const poisoned = gradients[0]!.map((gradient) => gradient.mul(Number.NaN));
  const around: unknown[] = [];
  for (let t = 0; t < 30; t++) {
    if (t === 11) around.push(await contents(optimizer));
    step({ gradients: t === 11 ? poisoned : gradients[t]!, lr: 0.01 / (t + 1), scale: 1 / (1 + (t % 3)), skip: t === 11 ? 1 : 0 });
    if (t === 11) around.push(await contents(optimizer));
  }
  return { around, end: await contents(optimizer) };
}

describe.each(Object.entries(rules))("%s", (_, rule) => {
  test("compiled equals eager bit for bit over 30 steps; a skipped step changes nothing, whatever its gradients are", async () => {
    const first = someParameters();
    const copies = await Promise.all(
      [...first].map(async ([name, p]) => [name, new Parameter({ shape: p.shape, data: await p.data() })] as const),
    );
    const gradients = Array.from({ length: 30 }, () => gradientsLike(rule.init(first)));
    const compiled = await train(rule, first, gradients, false);
    const eager = await train(rule, copies, gradients, true);
    expect(compiled).toEqual(eager);
    expect(compiled.around[1]).toEqual(compiled.around[0]);
    expect(compiled.end).not.toEqual(compiled.around[0]);
    expect(Object.values(compiled.end).every((data) => Array.from(data).every(Number.isFinite))).toBe(true);
  });

  test("a tied parameter is updated once", async () => {
    const [tied, alone] = [parameterOf([3, 3]), new Parameter({ shape: [3, 3] })];
    alone.set(tied.snapshot());
    const bias = () => ["bias", new Parameter({ shape: [3] })] as const;
    const twice = rule.init([["embedding", tied], ["head", tied], bias()]);
    const once = rule.init([["embedding", alone], bias()]);
    expect(twice.parameters).toHaveLength(2);
    const gradients = gradientsLike(once);
    for (const optimizer of [twice, once]) optimizer.update(gradients, { lr: 0.1 });
    expect(await contents(twice)).toEqual(await contents(once));
  });

  test("everything it makes in a step goes back to the pool", () => {
    const optimizer = rule.init(someParameters());
    const gradients = gradientsLike(optimizer);
    optimizer.update(gradients, { lr: 0.1 });
    const before = device.pool.figures().live;
    optimizer.update(gradients, { lr: 0.1 });
    expect(device.pool.figures().live).toBe(before);
  });
});

test("the states have stable names", () => {
  expect([...adamW().init(someParameters()).states().keys()].slice(0, 3)).toEqual(["step", "exp_avg.up.weight", "exp_avg.up.bias"]);
  expect([...adamW().init(someParameters()).states().keys()].at(-1)).toBe("exp_avg_sq.scale");
  expect([...sgd().init(someParameters()).states().keys()]).toEqual(["step"]);
  expect([...rules["muon and adamW"]!.init(someParameters()).states().keys()]).toEqual([
    "muon.step",
    "muon.momentum_buffer.up.weight",
    "muon.momentum_buffer.down.weight",
    "rest.step",
    "rest.exp_avg.up.bias",
    "rest.exp_avg.scale",
    "rest.exp_avg_sq.up.bias",
    "rest.exp_avg_sq.scale",
  ]);
});

test("decay falls on tensors with two or more axes, or on those a predicate picks; it is decoupled from the gradient", async () => {
  const decayed = async (rule: OptimizerRule) => {
    const parameters = new Map([
      ["matrix", new Parameter({ shape: [1, 1], data: [2] })],
      ["gain", new Parameter({ shape: [1], data: [2] })],
    ]);
    const optimizer = rule.init(parameters);
    optimizer.update([tensor([[0]]), tensor([0])], { lr: 0.5 });
    return Promise.all(optimizer.parameters.map(async (p) => (await p.data())[0]));
  };
  for (const make of [adamW, lion, sgd]) {
    expect(await decayed(make({ weightDecay: 0.5 }))).toEqual([1.5, 2]);
    expect(await decayed(make({ weightDecay: 0.5, decay: (name) => name === "gain" }))).toEqual([2, 1.5]);
  }
});

test("groups have rates of their own", async () => {
  const parameters = new Map([
    ["a", new Parameter({ shape: [1], data: [1] })],
    ["b", new Parameter({ shape: [1], data: [1] })],
  ]);
  const optimizer = byGroup({
    slow: { match: (name) => name === "b", optimizer: sgd(), lrScale: 0.25 },
    rest: { match: () => true, optimizer: sgd() },
  }).init(parameters);
  for (const lr of [0.5, tensor(0.5)]) optimizer.update([tensor([1]), tensor([1])], { lr });
  expect(await Promise.all(optimizer.parameters.map(async (p) => (await p.data())[0]))).toEqual([0, 0.75]);
});

test("bf16 parameters keep f32 moments, and gradients of another float type are taken", async () => {
  for (const rule of [adamW(), lion(), sgd({ momentum: 0.9 }), muon()]) {
    const parameter = new Parameter({ shape: [2, 2], dtype: "bf16", data: [1, 2, 3, 4] });
    const optimizer = rule.init([["p", parameter]]);
    expect([...optimizer.states().values()].every(({ dtype }) => dtype === "f32")).toBe(true);
    optimizer.update(
      [
        tensor([
          [1, -1],
          [1, 2],
        ]),
      ],
      { lr: 0.125, gradScale: tensor(1) },
    );
    expect(await parameter.data()).not.toEqual(Float32Array.of(1, 2, 3, 4));
  }
});

describe("bad input", () => {
  const optimizer = adamW().init(someParameters());
  const gradients = gradientsLike(optimizer);
  test.each<[string, () => unknown, RegExp]>([
    ["too few gradients", () => optimizer.update(gradients.slice(1), { lr: 0.1 }), /adamW: expected 4 gradients, .* got 3/],
    [
      "gradients in another order",
      () => optimizer.update([...gradients].reverse(), { lr: 0.1 }),
      /gradient of up\.weight must have its shape \[6, 4\], got \[\]/,
    ],
    ["a rate with an axis", () => optimizer.update(gradients, { lr: tensor([0.1]) }), /adamW: lr must have shape \[\]/],
    ["a rate that is NaN", () => optimizer.update(gradients, { lr: Number.NaN }), /lr must be a finite number, got NaN/],
    ["a number as skip", () => optimizer.update(gradients, { lr: 0.1, skip: tensor(1) }), /skip must be bool, got f32/],
    ["no parameters", () => lion().init([]), /lion: there are no parameters/],
    [
      "one name for two",
      () =>
        sgd().init([
          ["w", parameterOf([1])],
          ["w", parameterOf([1])],
        ]),
      /two different parameters are named "w"/,
    ],
    ["a beta of 1", () => adamW({ betas: [1, 0.9] }), /betas\[0\] must be in \[0, 1\), got 1/],
    ["negative decay", () => lion({ weightDecay: -1 }), /weightDecay must be at least 0, got -1/],
    ["nesterov without momentum", () => sgd({ nesterov: true }), /nesterov needs momentum/],
    ["a bias for Muon", () => muon().init(someParameters()), /muon: up\.bias has shape \[6\]/],
    [
      "a split that does not fit",
      () => muon({ split: () => [2, 2] }).init([["qkv", parameterOf([6, 2])]]),
      /split gives \[2, 2\] for qkv.* 6 rows/,
    ],
    [
      "a group without parameters",
      () => byGroup({ all: { match: () => true, optimizer: sgd() }, none: { match: () => true, optimizer: sgd() } }).init(someParameters()),
      /no parameter is left for group "none"/,
    ],
    [
      "a parameter without a group",
      () => byGroup({ m: { match: isMatrix, optimizer: muon() } }).init(someParameters()),
      /up\.bias matches none of the groups m/,
    ],
  ])("%s", async (_, run, message) => {
    const before = await contents(optimizer);
    expect(run).toThrow(message);
    expect(await contents(optimizer)).toEqual(before);
  });
});
