import { describe, expect, test } from "vitest";
import {
  aux,
  defineOp,
  explain,
  type Kernel,
  matmul,
  one,
  out,
  reference,
  type Spec,
  scope,
  sum,
  tensor,
  tensorInterface,
  valueAndGrad,
} from "../src/index.ts";

const triple = defineOp({
  name: "test.triple",
  inputs: { x: one() },
  attrs: { times: 3 },
  outputs: { y: out() },
  infer: ({ x }) => ({ y: x }),
  reference: ({ x }, { times }) => ({ y: x.mul(times) }),
});
/** A kernel that fills its output with a number, so that one sees who ran. */
const fills = (name: string, value: number, accepts?: Kernel["accepts"], contract = triple.contract): Kernel => ({
  name,
  contract,
  driver: "reference",
  interface: tensorInterface,
  ...(accepts && { accepts }),
  plan: ({ outputs }) => ({
    launches: [
      { run: (memory: Record<string, Uint8Array>) => new Float32Array(memory.y!.buffer, 0, (outputs.y as Spec).shape[0]!).fill(value) },
    ],
  }),
});
const onlyFour: NonNullable<Kernel["accepts"]> = ({ specs }) => (specs.x as Spec).shape[0] === 4 || "only four elements";

describe("the kernel table", () => {
  test("the latest that accepts wins, else an earlier one, else the reference", async () => {
    const device = reference({ kernels: [fills("first", 1, ({ specs }) => (specs.x as Spec).shape[0]! < 9 || "under nine")] });
    device.use([fills("second", 2, onlyFour)]);
    const run = async (n: number) => (await triple({ x: tensor(new Float32Array(n).fill(5), { device }) }).data())[0];
    expect([await run(4), await run(5), await run(9)]).toEqual([2, 1, 15]);
    expect(device.figures.references.get("test.triple")).toBe(1);
    device.use([fills("third", 3)]);
    expect(await run(9)).toBe(3);
  });

  test("explain tells who serves and why others decline, without running anything", () => {
    const device = reference({ kernels: [fills("first", 1, () => "never"), fills("second", 2, onlyFour)] });
    const x = (n: number) => tensor(new Float32Array(n), { device });
    const { launches } = device.figures;
    expect(explain(device, triple, { x: x(4) })).toEqual({ server: "second", declined: [] });
    const declined = [
      { kernel: "second", reason: "only four elements" },
      { kernel: "first", reason: "never" },
    ];
    expect(explain(device, triple, { x: x(5) })).toEqual({ server: "the reference", declined });
    expect(explain(device, matmul, { a: x(4).reshape([2, 2]), b: x(4).reshape([2, 2]) }).server).toBe("reference matmul");
    expect(device.figures.launches).toBe(launches);
  });

  test("strict refuses what no kernel serves, and lists each refusal", () => {
    const device = reference({ kernels: [fills("second", 2, onlyFour)], strict: true });
    const x = tensor([1, 2], { device });
    expect(() => triple({ x })).toThrow(
      /test.triple: device reference cannot serve it for x f32\[2\] \(second: only four elements\).*strict/,
    );
    expect(() => triple({ x: tensor([1, 2, 3, 4], { device }) })).not.toThrow();
    device.strict = false;
    expect(() => triple({ x })).not.toThrow();
  });

  test("a primitive that nobody serves is an error", () => {
    const orphan = defineOp({ name: "test.orphan", inputs: { x: one() }, outputs: { y: out() }, infer: ({ x }) => ({ y: x }) });
    expect(() => orphan({ x: tensor([1], { device: reference() }) })).toThrow(/test.orphan: device reference cannot serve it .*no kernel/);
  });

  test("one name for two contracts, another driver, another interface number: refused", () => {
    const device = reference();
    const copy = defineOp({ name: "sum", inputs: { x: one() }, outputs: { y: out() }, infer: ({ x }) => ({ y: x }) });
    expect(() => device.use([fills("k", 1, undefined, copy.contract)])).toThrow(/two different contracts are named "sum"/);
    expect(() => device.use([{ ...fills("k", 1), driver: "webgpu" }])).toThrow(/kernel k is made for webgpu devices/);
    expect(() => device.use([{ ...fills("k", 1), interface: tensorInterface + 1 }])).toThrow(/kernel k has interface 2, expected 1/);
    expect(device.contracts).toContain(sum.contract);
  });

  test("a kernel without a gradient is differentiated through the reference", async () => {
    const device = reference({ kernels: [fills("second", 2)] });
    const x = tensor([1, 2], { device });
    const { value, gradients } = valueAndGrad(() => triple({ x }, { times: 7 }).sum(), x);
    expect([await value.item(), await gradients.array()]).toEqual([4, [7, 7]]);
  });
});

describe("contracts", () => {
  const made: string[] = [];
  const squared = defineOp({
    name: "test.squared",
    inputs: { x: one() },
    outputs: { y: out(), twice: aux() },
    infer: ({ x }) => ({ y: x, twice: x }),
    reference: ({ x }) => ({ y: x.mul(x), twice: x.mul(2) }),
    saves: ["twice"],
    // The auxiliary output is differentiated too: in second derivatives it has an upstream of its own.
    grad: ({ saved: { twice }, upstream }) => {
      const terms = [upstream.y?.mul(twice), upstream.twice?.mul(2)].filter((term) => term !== undefined);
      return { x: terms.reduce((a, b) => a.add(b)) };
    },
  });
  const watching: Kernel = {
    name: "watching",
    contract: squared.contract,
    driver: "reference",
    interface: tensorInterface,
    plan: ({ outputs, wants }) => {
      made.push(Object.keys(outputs).join());
      return {
        launches: [
          {
            run(memory: Record<string, Uint8Array>) {
              const x = new Float32Array(memory.x!.buffer, 0, 2);
              new Float32Array(memory.y!.buffer, 0, 2).set(x.map((v) => v * v));
              if (wants("twice")) new Float32Array(memory.twice!.buffer, 0, 2).set(x.map((v) => v * 2));
            },
          },
        ],
      };
    },
  };

  test("auxiliary outputs are made only when a gradient saves them, and are differentiable", async () => {
    for (const kernels of [[], [watching]]) {
      const device = reference({ kernels });
      const x = tensor([1, 3], { device });
      made.length = 0;
      squared({ x });
      const first = valueAndGrad(() => squared({ x }).sum(), x);
      expect(await first.gradients.array()).toEqual([2, 6]);
      if (kernels.length > 0) expect(made).toEqual(["y", "y,twice"]);
      const second = valueAndGrad(() => valueAndGrad(() => squared({ x }).sum(), x).gradients.sum(), x);
      expect(await second.gradients.array()).toEqual([2, 2]);
    }
  });

  test("an output may be named like an input: each has memory of its own", async () => {
    const step = defineOp({
      name: "test.step",
      inputs: { w: one(), g: one() },
      outputs: { w: out() },
      infer: ({ w }) => ({ w }),
      mayReuse: { w: "w" },
    });
    const kernel: Kernel = {
      name: "step",
      contract: step.contract,
      driver: "reference",
      interface: tensorInterface,
      plan: () => ({
        launches: [
          {
            run(memory: Record<string, Uint8Array>) {
              const [w, g] = [new Float32Array(memory.w!.buffer, 0, 2), new Float32Array(memory.g!.buffer, 0, 2)];
              new Float32Array(memory["out.w"]!.buffer, 0, 2).set(w.map((v, i) => v - g[i]!));
            },
          },
        ],
      }),
    };
    const device = reference({ kernels: [kernel] });
    const w = tensor([5, 6], { device });
    expect(await step({ w, g: tensor([1, 1], { device }) }).array()).toEqual([4, 5]);
    expect(await w.array()).toEqual([5, 6]);
  });

  test("scratch goes back to the pool with its launch", () => {
    const kernel: Kernel = { ...fills("scratchy", 1), plan: (request) => ({ ...fills("", 1).plan(request), scratch: { work: 4096 } }) };
    const device = reference({ kernels: [kernel] });
    const x = tensor([1], { device });
    const before = device.memory().buffers;
    scope(() => void triple({ x }));
    expect(device.memory().buffers).toBe(before);
  });

  test("saves that name nothing are refused where the contract is declared", () => {
    const declare = () =>
      defineOp({ name: "test.bad", inputs: { x: one() }, outputs: { y: out() }, infer: ({ x }) => ({ y: x }), saves: ["z" as "x"] });
    expect(declare).toThrow(/defineOp test.bad: saves names "z", which is neither an input nor an output/);
  });
});
