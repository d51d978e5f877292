import { record, type TapeNode } from "./autograd.ts";
import { expectTensor, type TensorLike } from "./cell.ts";
import { context } from "./context.ts";
import type { Device } from "./device.ts";
import { type DType, dtypes } from "./dtype.ts";
import { DeviceError, DTypeError } from "./errors.ts";
import { computeExpression } from "./fuse.ts";
import { instructions, type Operands } from "./instructions.ts";
import { sumTo } from "./primitives/reduce.ts";
import type { ScalarName } from "./program.ts";
import { broadcast, type Shape, sameShape, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { type Expression, Value } from "./value.ts";

/** A chain is computed when it would grow beyond this many instructions or leaves: the bindings a small GPU offers, and what registers hold. */
export const chainLimits = { instructions: 32, leaves: 6 } as const;

/**
 * Applies a scalar instruction elementwise, with NumPy's broadcasting. Nothing runs: the result is a pending expression that fuses with
 * its neighbours and is computed when something that is not elementwise needs it. JS numbers take the tensors' dtype.
 */
export function scalar(op: ScalarName, args: readonly (TensorLike | number)[], given?: DType): Tensor {
  const rule = instructions[op];
  const values = bindArguments(op, args);
  const last = values.at(-1)!;
  const dtype = rule.result === "bool" ? "bool" : (given ?? last.dtype);
  for (const value of values) checkOperand(op, rule.operands, value.dtype);
  last.device.requireDType(dtype, op);
  const shape = broadcast(
    values.map((value) => value.shape),
    op,
  );
  const output = pending(last.device, shape, dtype, { op, args: values, data: 0 });
  if (context.tapes.length > 0 && rule.grads.length > 0 && dtypes[dtype].kind === "float") record(nodeFor(op, values, output));
  return new Tensor(output);
}

function nodeFor(op: ScalarName, inputs: readonly Value[], output: Value): TapeNode {
  const rule = instructions[op];
  const saved = rule.saves === "inputs" ? inputs : rule.saves === "output" ? [output] : [];
  return {
    name: op,
    inputs,
    outputs: [output],
    saved,
    backward([upstream], needs) {
      const operands = rule.saves === "inputs" ? inputs.map((value) => new Tensor(value)) : [];
      // Without a saved output the rule never reads it.
      const result = rule.saves === "output" ? new Tensor(output) : upstream!;
      return inputs.map((input, i) => {
        const grad = rule.grads[i];
        return grad && needs(i) ? sumTo(grad(upstream!, operands, result), input.shape) : undefined;
      });
    },
  };
}

/** Tensors and cells as values of one device and dtype; numbers become literals of that dtype. The condition of `select` keeps its own. */
function bindArguments(op: ScalarName, args: readonly (TensorLike | number)[]): Value[] {
  const given = args.map((arg, i) => (typeof arg === "number" ? arg : expectTensor(arg, `${op}: argument ${i}`)));
  const model = given.findLast((value): value is Value => typeof value !== "number")!;
  const values = given.map((value) => (typeof value === "number" ? literal(model.device, value, model.dtype) : value));
  const rule = instructions[op];
  for (const [i, value] of values.entries()) {
    if (value.device !== model.device)
      throw new DeviceError(`${op}: arguments lie on devices ${value.device.name} and ${model.device.name}. Move one with .to(device).`);
    const isCondition = rule.arity === 3 && i === 0;
    const expected = isCondition ? "bool" : values.at(-1)!.dtype;
    if (value.dtype !== expected)
      throw new DTypeError(
        `${op}: argument ${i} is ${value.dtype}, expected ${expected}. Nothing is promoted: write .cast("${expected}").`,
      );
  }
  return values;
}

const accepted: Record<Operands, (dtype: DType) => boolean> = {
  any: () => true,
  number: (dtype) => dtype !== "bool",
  float: (dtype) => dtypes[dtype].kind === "float",
  bits: (dtype) => dtypes[dtype].kind !== "float",
};

function checkOperand(op: ScalarName, operands: Operands, dtype: DType): void {
  if (instructions[op].arity === 3 || accepted[operands](dtype)) return;
  const wants = operands === "bits" ? "bool or integers" : operands === "float" ? "floating point" : "numbers";
  throw new DTypeError(`${op}: takes ${wants}, got ${dtype}. Write .cast(...) first.`);
}

/** A constant. It broadcasts, and becomes part of the program that reads it. */
export function literal(device: Device, value: number, dtype: DType, shape: Shape = []): Value {
  return new Value(device, shape, dtype, { expression: { op: "literal", args: [], data: value } });
}

/**
 * A pending result. Arguments that would make the chain too long are computed first, and so are those with fewer elements than
 * the result (but for single ones): repeating them for every element would cost more than storing them.
 */
export function pending(device: Device, shape: Shape, dtype: DType, expression: Expression): Value {
  for (const arg of expression.args) {
    if (!arg.expression || arg.expression.op === "literal") continue;
    const size = sizeOf(arg.shape);
    const positional = size !== sizeOf(shape) && dependsOnPosition(arg);
    if (positional || (size !== 1 && !sameElements(arg.shape, shape))) materialize(arg);
  }
  const value = new Value(device, shape, dtype, { expression });
  while (tooLong(value)) materialize(longest(expression.args));
  const cells = leavesOf(value).flatMap((leaf) => (leaf.placement!.buffer.fixed ? [leaf.placement!.buffer] : []));
  if (cells.length > 0) value.watch(cells);
  // A narrower float rounds when it is stored; leaving it pending would let the wider value through.
  if (expression.op === "cast" && dtypes[dtype].bytes < 4 && dtype !== "bool") materialize(value);
  return value;
}

/** Equal up to leading axes of extent 1, so that elements keep their row-major position. */
function sameElements(a: Shape, b: Shape): boolean {
  const trim = (shape: Shape) => shape.slice(shape.findIndex((extent) => extent !== 1) >>> 0);
  return sameShape(a, b) || sameShape(trim(a), trim(b));
}

function walk(value: Value, visit: (value: Value) => void, seen = new Set<Value>()): void {
  if (seen.has(value)) return;
  seen.add(value);
  visit(value);
  if (value.expression) for (const arg of value.expression.args) walk(arg, visit, seen);
}

function leavesOf(value: Value): Value[] {
  const leaves: Value[] = [];
  walk(value, (node) => node.placement && leaves.push(node));
  return leaves;
}

function dependsOnPosition(value: Value): boolean {
  let found = false;
  walk(value, (node) => {
    if (node.expression?.op === "index" || node.expression?.op === "random") found = true;
  });
  return found;
}

function tooLong(value: Value): boolean {
  let count = 0;
  let leaves = 0;
  walk(value, (node) => (node.placement ? leaves++ : count++));
  return count > chainLimits.instructions || leaves > chainLimits.leaves;
}

/** The argument whose chain is the longest: computing it shortens the new one most. */
function longest(args: readonly Value[]): Value {
  const length = (value: Value) => {
    let count = 0;
    if (value.expression) walk(value, () => count++);
    return count;
  };
  return args.reduce((best, arg) => (length(arg) > length(best) ? arg : best));
}

/** Computes a pending expression into memory of its own. Already computed values stay as they are. */
export function materialize(value: Value): Value {
  if (value.expression) computeExpression(value);
  return value;
}
