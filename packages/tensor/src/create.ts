import { context, within } from "./context.ts";
import { type Device, defaultDevice } from "./device.ts";
import { type DType, dtypes, encode } from "./dtype.ts";
import { ShapeError, TensorError, TraceError } from "./errors.ts";
import { literal, pending } from "./pointwise.ts";
import { checkShape, contiguousStrides, type Shape, show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { Value } from "./value.ts";

export interface CreateOptions {
  readonly dtype?: DType | undefined;
  readonly device?: Device | undefined;
}
/** Numbers, or lists of lists of them. */
export type Nested = number | boolean | readonly Nested[];

/** A tensor of host values: nested arrays, or a flat array with its shape. Floats become f32, typed integer arrays keep their type. */
export function tensorOf(
  data: Nested | ArrayLike<number>,
  { shape, dtype, device = defaultDevice("tensor") }: CreateOptions & { readonly shape?: Shape } = {},
): Tensor {
  if (context.trace)
    throw new TraceError(
      "tensor: host data inside a compiled step would be baked in. Pass it as an argument of the step, or make it outside.",
    );
  const flat: number[] | ArrayLike<number> = ArrayBuffer.isView(data)
    ? (data as unknown as ArrayLike<number>)
    : flattenNested(data as Nested);
  const dims = shape ?? (ArrayBuffer.isView(data) ? [flat.length] : shapeOfNested(data as Nested));
  checkShape(dims, "tensor");
  if (sizeOf(dims) !== flat.length) throw new ShapeError(`tensor: shape ${show(dims)} holds ${sizeOf(dims)} elements, got ${flat.length}.`);
  const type = dtype ?? dtypeOfArray(data);
  device.requireDType(type, "tensor");
  const buffer = device.pool.take(flat.length * dtypes[type].bytes);
  device.driver.write(buffer.storage, 0, encode(flat, type));
  return new Tensor(new Value(device, [...dims], type, { placement: { buffer, offset: 0, strides: contiguousStrides(dims), version: 0 } }));
}

/**
 * A tensor of host data that follows from shapes alone, such as a table or a block map, for whoever made it to keep: it outlives the scope and the step that asked
 * for it, and compiled steps pin it. Make the same one for the same shapes, or a step's next trace differs.
 */
export const hostConstant = (data: ArrayLike<number>, options: CreateOptions & { readonly shape?: Shape } = {}): Tensor =>
  within({ trace: undefined, scope: undefined, tapes: [] }, () => tensorOf(data, options));

function dtypeOfArray(data: unknown): DType {
  if (data instanceof Int32Array) return "i32";
  if (data instanceof Uint32Array) return "u32";
  if (data instanceof Uint8Array) return "u8";
  if (typeof data === "boolean" || (Array.isArray(data) && typeof data.flat(8)[0] === "boolean")) return "bool";
  return "f32";
}

function flattenNested(data: Nested): number[] {
  return Array.isArray(data) ? (data as readonly Nested[]).flatMap(flattenNested) : [Number(data)];
}

function shapeOfNested(data: Nested): number[] {
  if (!Array.isArray(data)) return [];
  const shapes = (data as readonly Nested[]).map(shapeOfNested);
  const first = shapes[0] ?? [];
  for (const [i, shape] of shapes.entries())
    if (show(shape) !== show(first))
      throw new TensorError(`tensor: nested arrays are ragged: entry 0 has shape ${show(first)}, entry ${i} ${show(shape)}.`);
  return [data.length, ...first];
}

/** A tensor of one repeated value: nothing is stored until something wants it. */
export function full(shape: Shape, value: number, { dtype = "f32", device = defaultDevice("full") }: CreateOptions = {}): Tensor {
  checkShape(shape, "full");
  device.requireDType(dtype, "full");
  return new Tensor(literal(device, value, dtype, [...shape]));
}
export const zeros = (shape: Shape, options: CreateOptions = {}): Tensor => full(shape, 0, options);
export const ones = (shape: Shape, options: CreateOptions = {}): Tensor => full(shape, 1, options);
export const zerosLike = (like: Tensor): Tensor => full(like.shape, 0, like);
export const onesLike = (like: Tensor): Tensor => full(like.shape, 1, like);

/** 0, 1, ..., length - 1 as i32 (or another dtype). */
export function arange(length: number, { dtype = "i32", device = defaultDevice("arange") }: CreateOptions = {}): Tensor {
  checkShape([length], "arange");
  const index = new Tensor(pending(device, [length], "u32", { op: "index", args: [], data: 0 }));
  return dtype === "u32" ? index : index.cast(dtype);
}
