import { context, within } from "./context.ts";
import { dtypes } from "./dtype.ts";
import { TraceError } from "./errors.ts";
import { type Destination, launch } from "./launch.ts";
import { defineOp, many, out, required, type Spec } from "./op.ts";
import type { Instruction, Program } from "./program.ts";
import { broadcastStrides, type Shape } from "./shape.ts";
import { checkedPlacement, Value } from "./value.ts";

/**
 * The primitive that runs a pointwise program over `shape`. Leaves arrive with that shape, strided (0 where they repeat); the key of a
 * draw arrives as it is, four words. There is no call in user code: chains of elementwise operations become this.
 */
export const pointwise = defineOp({
  name: "pointwise",
  inputs: { leaves: many() },
  attrs: { program: required<Program>(), shape: required<Shape>() },
  outputs: { y: out() },
  infer: (_, { program, shape }) => ({ y: { shape, dtype: program.outputs[0]!.dtype } satisfies Spec }),
  mayReuse: { y: "leaves" },
});

/** Computes a pending expression, into `destination` if given, and places it there. */
export function computeExpression(value: Value, destination?: Destination): void {
  if (value.trace !== context.trace && !destination) {
    // Made outside the running step: computed there, once.
    if (value.trace) throw new TraceError("a tensor made inside a compiled step was used after the step. Return it from the body.");
    within({ trace: undefined }, () => computeExpression(value));
    return;
  }
  const { program, leaves } = linearize(value);
  const views = leaves.map((leaf) => (leaf.key ? leaf.value : spread(leaf.value, value.shape)));
  const { y } = launch(
    value.device,
    pointwise.contract,
    { leaves: views },
    { program, shape: value.shape },
    { y: value },
    new Set(),
    destination && { y: destination },
  );
  if (!destination) value.place(y as never);
}

/** A leaf seen at the program's shape, 0 strides along the axes it is repeated over. */
function spread(leaf: Value, shape: Shape): Value {
  const placement = checkedPlacement(leaf, "pointwise");
  const strides = broadcastStrides(leaf.shape, placement.strides, shape);
  return new Value(leaf.device, shape, leaf.dtype, { placement: { ...placement, strides } });
}

interface Leaf {
  readonly value: Value;
  readonly key: boolean;
}

/** The expression as a straight-line program: every value once, arguments before their use. */
export function linearize(root: Value): { program: Program; leaves: Leaf[] } {
  const leaves: Leaf[] = [];
  const list: Instruction[] = [];
  const registers = new Map<Value, number>();
  const leafIndex = (value: Value, key: boolean) => {
    const at = leaves.findIndex((leaf) => leaf.value === value && leaf.key === key);
    return at >= 0 ? at : leaves.push({ value, key }) - 1;
  };
  const emit = (value: Value): number => {
    const known = registers.get(value);
    if (known !== undefined) return known;
    const register = list.push(instructionFor(value, emit, leafIndex)) - 1;
    registers.set(value, register);
    return register;
  };
  const register = emit(root);
  return {
    program: { leaves: leaves.map((leaf) => leaf.value.dtype), instructions: list, outputs: [{ register, dtype: root.dtype }] },
    leaves,
  };
}

function instructionFor(value: Value, emit: (value: Value) => number, leafIndex: (value: Value, key: boolean) => number): Instruction {
  const type = dtypes[value.dtype].register;
  const expression = value.expression;
  if (!expression) return { op: "leaf", leaf: leafIndex(value, false), type };
  if (expression.op === "literal") return { op: "literal", value: expression.data, type };
  if (expression.op === "index") return { op: "index", type: "u32" };
  if (expression.op === "random")
    return { op: "random", leaf: leafIndex(expression.args[0]!, true), ordinal: expression.data, type: "u32" };
  return { op: expression.op, args: expression.args.map(emit), type };
}
