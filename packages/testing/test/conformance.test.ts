import { aux, defineOp, type Kernel, one, out, reference, type Sample, tensorInterface } from "@x/tensor";
import { expect, test } from "vitest";
import { checkConformance, conformance } from "../src/index.ts";

/** x * 2 with the square of x beside it. */
const twice = defineOp({
  name: "test.twice",
  inputs: { x: one() },
  outputs: { y: out(), square: aux() },
  infer: ({ x }) => ({ y: x, square: x }),
  reference: ({ x }) => ({ y: x.mul(2), square: x.square() }),
  saves: ["square"],
  grad: ({ upstream }) => ({ x: upstream.y?.mul(2) }),
});
const samples: readonly Sample[] = [{ op: twice, name: "a matrix", inputs: { x: { shape: [3, 5] } } }];

interface Fault {
  readonly factor?: number;
  readonly square?: number;
  readonly strided?: boolean;
  readonly accepts?: Kernel["accepts"];
}
/** A kernel of the reference device for it, with a fault to be found. */
const kernel = ({ factor = 2, square = 1, strided = false, accepts }: Fault = {}): Kernel => ({
  name: "twice of floats",
  contract: twice.contract,
  driver: "reference",
  interface: tensorInterface,
  ...(accepts && { accepts }),
  // A kernel that takes any layout and then reads as if it were contiguous.
  ...(strided && { layout: { x: "strided" as const } }),
  plan: ({ specs, wants }) => ({
    launches: [
      {
        run(memory: Record<string, Uint8Array>) {
          const { shape } = specs.x as { shape: readonly number[] };
          const size = shape.reduce((a, b) => a * b, 1);
          const floats = (name: string) => new Float32Array(memory[name]!.buffer, memory[name]!.byteOffset, size);
          const x = floats("x").slice();
          floats("y").set(x.map((v) => v * factor));
          if (wants("square")) floats("square").set(x.map((v) => v * v * square));
        },
      },
    ],
  }),
});
const report = async (fault: Fault, options = {}) =>
  (await checkConformance(reference({ kernels: [kernel(fault)] }), samples, options))[0]!;

test("a right kernel passes, the reference alone too", async () => {
  expect(await report({})).toEqual({ name: "test.twice: a matrix", pass: true, report: undefined });
  expect((await checkConformance(reference(), samples))[0]!.pass).toBe(true);
});

test("wrong values, auxiliary outputs, layouts are found and told apart", async () => {
  const wrong = await report({ factor: 2.001 });
  expect(wrong.report).toMatch(/values: y: 15 of 15 elements differ/);
  expect(wrong.report).toMatch(/compiled: y/);
  const hidden = await report({ square: 1.01 });
  expect(hidden.report).toMatch(/all outputs: square/);
  expect(hidden.report).not.toMatch(/values: y/);
  const layout = await report({ strided: true });
  expect(layout.report).toMatch(/strided inputs: y/);
  expect(layout.report).not.toMatch(/values: y/);
});

test("a gradient that disagrees with the reference's is found", async () => {
  const wrongGrad = defineOp({
    ...base("test.wrongGrad"),
    grad: ({ upstream, specs }) => ({ x: specs.x.dtype === "f64" ? upstream.y : upstream.y?.mul(1.01) }),
  });
  const [result] = await checkConformance(reference(), [{ op: wrongGrad, name: "off by a hundredth", inputs: { x: { shape: [4] } } }]);
  expect(result?.report).toMatch(/gradients: gradient of x/);
});

test("strict names who declined, and excuses what is listed until it is served", async () => {
  const accepts = () => "only on Sundays";
  expect((await report({ accepts })).pass).toBe(true);
  expect((await report({ accepts }, { strict: true })).report).toMatch(/no kernel serves test.twice: twice of floats: only on Sundays/);
  const exceptions = [{ op: "test.twice", sample: "a matrix", reason: "soon" }];
  expect((await report({ accepts }, { strict: true, exceptions })).pass).toBe(true);
  expect((await report({}, { strict: true, exceptions })).report).toMatch(/take it off the list/);
});

test("memory left behind is found", async () => {
  const device = reference();
  const leaky = defineOp({
    ...base("test.leaky"),
    reference: ({ x }) => {
      device.pool.take(100);
      return { y: x.mul(1) };
    },
  });
  const [result] = await checkConformance(device, [{ op: leaky, name: "leaks", inputs: { x: { shape: [4] } }, gradients: [] }]);
  expect(result?.report).toMatch(/buffers more are live/);
});

test("registers one test a sample with the runner it is given", async () => {
  const names: string[] = [];
  const bodies: (() => Promise<void>)[] = [];
  conformance(reference(), [...samples, ...samples], {
    describe: (name, body) => {
      names.push(name);
      body();
    },
    test: (name, body) => {
      names.push(name);
      bodies.push(body);
    },
  });
  expect(names).toEqual(["conformance of reference", "test.twice: a matrix", "test.twice: a matrix (2)"]);
  await Promise.all([bodies[0]!()]);
});

function base(name: string) {
  return {
    name,
    inputs: { x: one() },
    outputs: { y: out() },
    infer: ({ x }: { readonly x: import("@x/tensor").Spec }) => ({ y: x }),
    reference: ({ x }: { readonly x: import("@x/tensor").Tensor }) => ({ y: x.mul(1) }),
  } as const;
}
