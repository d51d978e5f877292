import { expectTypeOf } from "vitest";
import {
  aux,
  type Cell,
  compile,
  defineOp,
  gather,
  grad,
  many,
  matmul,
  maybe,
  one,
  out,
  outs,
  Parameter,
  required,
  type Spec,
  scalar,
  sort,
  type Tensor,
  type TensorLike,
  take,
  tensor,
  valueAndGrad,
} from "../src/index.ts";

/*
 * What types catch. This file is compiled and never run: `types.test.ts` holds that it compiles, and so that each misuse below is refused.
 */
declare const x: Tensor;
declare const cell: Cell;

const op = defineOp({
  name: "types.op",
  inputs: { x: one(), bias: maybe(), parts: many(), rate: scalar() },
  attrs: { eps: 1e-6, axis: required<number>(), mode: "fast" as "fast" | "exact" },
  outputs: { y: out(), inverse: aux() },
  infer: ({ x, bias, parts, rate }, { eps, axis }) => {
    expectTypeOf(x).toEqualTypeOf<Spec>();
    expectTypeOf(bias).toEqualTypeOf<Spec | undefined>();
    expectTypeOf(parts).toEqualTypeOf<readonly Spec[]>();
    expectTypeOf(rate).toEqualTypeOf<Spec>();
    expectTypeOf(eps).toEqualTypeOf<number>();
    expectTypeOf(axis).toEqualTypeOf<number>();
    return { y: x, inverse: x };
  },
  reference: ({ x, parts }) => {
    expectTypeOf(parts).toEqualTypeOf<readonly Tensor[]>();
    return { y: x, inverse: x };
  },
  saves: ["x", "inverse", "bias"],
  grad: ({ saved, specs, upstream, needs }) => {
    expectTypeOf(saved.x).toEqualTypeOf<Tensor>();
    expectTypeOf(saved.inverse).toEqualTypeOf<Tensor>();
    expectTypeOf(saved.bias).toEqualTypeOf<Tensor | undefined>();
    expectTypeOf(specs.parts).toEqualTypeOf<readonly Spec[]>();
    expectTypeOf(upstream.y).toEqualTypeOf<Tensor | undefined>();
    // @ts-expect-error: parts is not among what the gradient saves
    saved.parts;
    // @ts-expect-error: there is no such input
    needs("weight");
    return { x: upstream.y, parts: [undefined] };
  },
  mayReuse: { y: "x" },
});

export function calls() {
  // Inputs by name; tensors and cells alike; numbers where an input is a scalar; what may be left out, left out or undefined.
  expectTypeOf(op({ x, parts: [x, cell], rate: 0.1 }, { axis: 0 })).toEqualTypeOf<Tensor>();
  op({ x: cell, bias: undefined, parts: [], rate: cell }, { axis: 0, eps: 1, mode: "exact" });
  // @ts-expect-error: parts is missing
  op({ x, rate: 1 }, { axis: 0 });
  // @ts-expect-error: there is no input z
  op({ x, parts: [], rate: 1, z: x }, { axis: 0 });
  // @ts-expect-error: a number is no tensor
  op({ x: 1, parts: [], rate: 1 }, { axis: 0 });
  // @ts-expect-error: attributes without a default must be given
  op({ x, parts: [], rate: 1 });
  // @ts-expect-error: axis has no default
  op({ x, parts: [], rate: 1 }, { eps: 1 });
  // @ts-expect-error: an attribute of another type
  op({ x, parts: [], rate: 1 }, { axis: "0" });
  // @ts-expect-error: there is no attribute epsilon
  op({ x, parts: [], rate: 1 }, { axis: 0, epsilon: 1 });

  expectTypeOf(matmul({ a: x, b: cell })).toEqualTypeOf<Tensor>();
  // @ts-expect-error: inputs go by name
  matmul(x, x);
  // Several results are a record, auxiliary ones do not show, a list is a list.
  expectTypeOf(sort({ x })).toEqualTypeOf<{ readonly values: Tensor; readonly indices: Tensor }>();
  // @ts-expect-error: the auxiliary output is the gradient's
  op({ x, parts: [], rate: 1 }, { axis: 0 }).inverse;
  const parts = defineOp({ name: "types.parts", inputs: { x: one() }, outputs: { ys: outs() }, infer: ({ x }) => ({ ys: [x] }) });
  expectTypeOf(parts({ x })).toEqualTypeOf<readonly Tensor[]>();
  // Defaults may be left out altogether.
  take({ x, indices: x });
  // @ts-expect-error: gather's axis may not
  gather({ x, indices: x });
}

export function declarations() {
  // @ts-expect-error: infer must say each output
  defineOp({ name: "a", inputs: { x: one() }, outputs: { y: out(), z: out() }, infer: ({ x }) => ({ y: x }) });
  // @ts-expect-error: an output's name cannot be saved unless it is one
  defineOp({ name: "b", inputs: { x: one() }, outputs: { y: out() }, infer: ({ x }) => ({ y: x }), saves: ["w"] });
  defineOp({
    name: "c",
    inputs: { x: one() },
    outputs: { y: out() },
    infer: ({ x }) => ({ y: x }),
    // @ts-expect-error: there is no input w to give a gradient to
    mayReuse: { y: "w" },
  });
  defineOp({
    name: "d",
    inputs: { x: one() },
    outputs: { y: out(), z: out() },
    infer: ({ x }) => ({ y: x, z: x }),
    // @ts-expect-error: a reference makes every output
    reference: ({ x }) => ({ y: x }),
  });
}

export function cells() {
  const w = new Parameter({ shape: [2] });
  expectTypeOf(w).toExtend<TensorLike>();
  x.add(w);
  // @ts-expect-error: a cell has no arithmetic of its own
  w.add(x);
  // @ts-expect-error: tensors never change
  x.shape = [1];
  // @ts-expect-error: shapes neither
  x.shape[0] = 1;
  // @ts-expect-error: dtypes are known by name
  x.cast("f8");
  // @ts-expect-error: values are awaited
  const n: number = x.item();
  return n;
}

export function gradients() {
  expectTypeOf(grad(() => x.sum(), x)).toEqualTypeOf<Tensor>();
  const cells = { w: new Parameter({ shape: [1] }), b: x };
  expectTypeOf(grad(() => x.sum(), cells)).toEqualTypeOf<{ readonly w: Tensor; readonly b: Tensor }>();
  expectTypeOf(grad(() => x.sum(), [x, cell] as const)).toEqualTypeOf<readonly [Tensor, Tensor]>();
  const { value } = valueAndGrad(() => ({ loss: x, accuracy: 1 }), x);
  expectTypeOf(value).toEqualTypeOf<{ loss: Tensor; accuracy: number }>();
  // @ts-expect-error: the body returns its loss, or a record with one
  valueAndGrad(() => ({ cost: x }), x);
  // @ts-expect-error: the body is synchronous
  grad(async () => x, x);
  // @ts-expect-error: a number is no variable
  grad(() => x, 3);
}

export function steps() {
  const step = compile<{ lr: Tensor; batch: Tensor }, { loss: Tensor }, { apply: boolean }>(({ lr, batch }, { apply }) => {
    // Numbers and host data reach the body as tensors: the body says which, the caller may pass either.
    expectTypeOf(lr).toEqualTypeOf<Tensor>();
    expectTypeOf(batch).toEqualTypeOf<Tensor>();
    expectTypeOf(apply).toEqualTypeOf<boolean>();
    return { loss: lr };
  });
  const batch = { data: new Float32Array(1), shape: [1] };
  expectTypeOf(step({ lr: 1, batch }, { apply: true })).toEqualTypeOf<{ loss: Tensor }>();
  // @ts-expect-error: statics select the plan, so they must be given
  step({ lr: 1, batch });
  // @ts-expect-error: an argument is missing
  step({ lr: 1 }, { apply: true });
  const plain = compile<{ x: Tensor }, Tensor>(({ x }) => x);
  plain({ x });
  // @ts-expect-error: a step without statics takes none
  plain({ x }, { apply: true });
  // @ts-expect-error: host data has a shape
  tensor({ data: [1] });
}
