import { type DType, encode } from "./dtype.ts";
import { ShapeError, TensorError } from "./errors.ts";
import { isPlain } from "./scope.ts";
import { type Shape, show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** Host data with its shape, as an argument of a step. */
export interface HostTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape;
  readonly dtype?: DType;
}
type Leaf = number | HostTensor | Tensor;
/** What a step takes: numbers (they reach the body as scalar f32 tensors), host data and tensors, in plain records and lists. */
export type StepArgument = Leaf | readonly StepArgument[] | { readonly [name: string]: StepArgument };
/** What may be passed where the body of a step takes tensors. */
export type Hosted<T> = T extends Tensor ? Leaf : { readonly [K in keyof T]: Hosted<T[K]> };

/** One datum of the arguments, with its place among them. */
export interface ArgumentLeaf {
  readonly path: string;
  readonly value: Leaf;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The data in a step's arguments, in order. */
export function* argumentLeaves(args: unknown, path: string): Generator<ArgumentLeaf> {
  if (typeof args === "number") yield { path, value: args, shape: [], dtype: "f32" };
  else if (Tensor.isTensor(args)) yield { path, value: args, shape: args.shape, dtype: args.dtype };
  else if (isHostTensor(args)) yield hostLeaf(args, path);
  else if (Array.isArray(args)) for (const [i, item] of args.entries()) yield* argumentLeaves(item, `${path}[${i}]`);
  else if (typeof args === "object" && args !== null && isPlain(args))
    for (const [key, item] of Object.entries(args)) yield* argumentLeaves(item, `${path}.${key}`);
  else throw new TensorError(`${path}: expected a number, a tensor, { data, shape }, or a list or record of them, got ${typeof args}.`);
}

/** The same structure with each datum replaced. */
export function mapArguments(args: unknown, map: (value: Leaf) => Tensor): unknown {
  if (typeof args === "number" || Tensor.isTensor(args) || isHostTensor(args)) return map(args);
  if (Array.isArray(args)) return args.map((item) => mapArguments(item, map));
  return Object.fromEntries(Object.entries(args as object).map(([key, item]) => [key, mapArguments(item, map)]));
}

/** The same structure with each tensor replaced; anything else stays. */
export function mapTensors<T>(result: unknown, map: (tensor: Tensor) => T): unknown {
  if (Tensor.isTensor(result)) return map(result);
  if (Array.isArray(result)) return result.map((item) => mapTensors(item, map));
  if (typeof result === "object" && result !== null && isPlain(result))
    return Object.fromEntries(Object.entries(result).map(([key, item]) => [key, mapTensors(item, map)]));
  return result;
}

const isHostTensor = (value: unknown): value is HostTensor =>
  typeof value === "object" && value !== null && "data" in value && "shape" in value && !Tensor.isTensor(value);

function hostLeaf(value: HostTensor, path: string): ArgumentLeaf {
  const { data, shape } = value;
  if (sizeOf(shape) !== data.length)
    throw new ShapeError(`${path}: shape ${show(shape)} holds ${sizeOf(shape)} elements, got ${data.length}.`);
  const dtype =
    value.dtype ?? (data instanceof Int32Array ? "i32" : data instanceof Uint32Array ? "u32" : data instanceof Uint8Array ? "u8" : "f32");
  return { path, value, shape, dtype };
}

/** The bytes of a host datum. */
export const bytesOfLeaf = ({ value, dtype }: { value: number | HostTensor; dtype: DType }): Uint8Array =>
  encode(typeof value === "number" ? [value] : value.data, dtype);
