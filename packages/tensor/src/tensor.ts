import type { TensorLike } from "./cell.ts";
import { context } from "./context.ts";
import { onesLike, tensorOf, zerosLike } from "./create.ts";
import type { Device } from "./device.ts";
import { type DType, decode, dtypes, type HostArray } from "./dtype.ts";
import { Elementwise } from "./elementwise.ts";
import { callSite, DeviceError, LifetimeError, ShapeError, TraceError } from "./errors.ts";
import { contiguous } from "./launch.ts";
import { materialize } from "./pointwise.ts";
import { concat, embed } from "./primitives/assemble.ts";
import { copy } from "./primitives/copy.ts";
import { cummax, cumprod, cumsum } from "./primitives/cumulative.ts";
import { gather, putAdd, scatterAdd, take } from "./primitives/gather.ts";
import { matmul } from "./primitives/matmul.ts";
import { expand, flip, permute, reshape, slice } from "./primitives/movement.ts";
import { argmax, argmin, max, min, prod, sum } from "./primitives/reduce.ts";
import { sort, topK } from "./primitives/sort.ts";
import type { Scope } from "./scope.ts";
import { axesIn, axisIn, isContiguous, type Shape, show, sizeOf } from "./shape.ts";
import { checkedPlacement, type Value } from "./value.ts";

const brand = Symbol.for("@x/tensor.tensor");
type Axes = number | readonly number[];
export interface ReduceOptions {
  readonly keepDims?: boolean;
}

/** Top-level handles that the program dropped without freeing: their memory comes back with the garbage collector, and is counted. */
const dropped = new FinalizationRegistry<{ value: Value; site: string | undefined }>(({ value }) => {
  value.device.pool.reclaimed++;
  value.release();
});

/**
 * An immutable array of numbers on a device: a shape, a dtype and a strided view of memory. Methods are the primitives; composites are functions of
 * `@x/ops`. Everything is synchronous but reading back (`await t.data()`). JS numbers take the tensor's dtype; nothing else is promoted.
 */
export class Tensor extends Elementwise {
  readonly [brand] = true;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  readonly #value: Value;
  #scope: Scope | undefined;
  #freed: string | undefined;

  /** A handle on a result; the machinery makes them. It belongs to the innermost scope. */
  constructor(value: Value) {
    super();
    this.#value = value.retain();
    this.shape = value.shape;
    this.dtype = value.dtype;
    this.device = value.device;
    this.adopt(context.scope);
  }

  static isTensor(value: unknown): value is Tensor {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }

  /** The result behind the handle; refused once it is freed. For operations. */
  get inner(): Value {
    context.read?.add(this);
    // A checkpointed body that runs again finds what it read, though the scope it came from has ended: the tape holds the value.
    if (this.#freed !== undefined && !(context.recomputing && this.#value.references > 0))
      throw new LifetimeError(
        `tensor ${this.dtype}${show(this.shape)}: used after it was freed ${this.#freed}. Return it from the scope that made it, or copy it.`,
      );
    return this.#value;
  }

  get isFreed(): boolean {
    return this.#freed !== undefined;
  }

  get self(): Tensor {
    return this;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Hands the tensor to another scope; undefined is the top level, where the garbage collector is the last resort. */
  adopt(scope: Scope | undefined): void {
    this.#scope?.handles.delete(this);
    if (this.#scope === undefined) dropped.unregister(this);
    this.#scope = scope;
    if (scope) scope.handles.add(this);
    else dropped.register(this, { value: this.#value, site: undefined }, this);
  }

  /** Gives the memory back now. Scopes do this; call it only where a tensor at top level is large and done with. */
  dispose(): void {
    if (this.#freed !== undefined) return;
    this.#freed = this.device.debug ? `at ${callSite()}` : "by the end of its scope or by dispose() (device.debug = true records the line)";
    this.#scope?.handles.delete(this);
    if (this.#scope === undefined) dropped.unregister(this);
    this.#value.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The elements in row-major order, once they are computed. f16 and bf16 arrive as Float32Array. */
  async data(): Promise<HostArray> {
    if (context.trace)
      throw new TraceError("tensor.data: nothing can be read inside a compiled step. Return the tensor, and read it after.");
    const value = materialize(this.inner).retain();
    const { offset, strides } = checkedPlacement(value, "data");
    const source = isContiguous(value.shape, strides) ? value : contiguous(value);
    source.retain();
    const { placement } = source;
    const width = dtypes[this.dtype].bytes;
    const start = source === value ? offset * width : 0;
    try {
      // Read begins before anything later is launched, so a later write does not show.
      const reading = this.device.driver.read(placement!.buffer.storage, start, this.size * width);
      return decode(await reading, this.dtype);
    } finally {
      source.release();
      value.release();
    }
  }

  /** The one element of a tensor that has one. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: the tensor must have one element, it has shape ${show(this.shape)}. Use data() or array().`);
    return (await this.data())[0]!;
  }

  /** The elements as nested arrays. */
  async array(): Promise<unknown> {
    const flat = await this.data();
    const nest = (axis: number, start: number, step: number): unknown => {
      if (axis === this.shape.length) return flat[start];
      const inner = step / this.shape[axis]!;
      return Array.from({ length: this.shape[axis]! }, (_, i) => nest(axis + 1, start + i * inner, inner));
    };
    return nest(0, 0, this.size);
  }

  /** The same elements on another device. */
  async to(device: Device): Promise<Tensor> {
    if (device === this.device) return this;
    if (context.scope) throw new DeviceError("to: moving between devices awaits, so it cannot stand inside a scope.");
    return tensorOf(await this.data(), { shape: this.shape, dtype: this.dtype, device });
  }

  override toString(): string {
    return `Tensor(${this.dtype}${show(this.shape)} on ${this.device.name})`;
  }

  // Reductions drop their axes unless `keepDims`.
  sum(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return sum({ x: this }, { axes: axesIn(axes, this.shape.length, "sum"), ...options });
  }
  prod(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return prod({ x: this }, { axes: axesIn(axes, this.shape.length, "prod"), ...options });
  }
  max(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return max({ x: this }, { axes: axesIn(axes, this.shape.length, "max"), ...options });
  }
  min(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return min({ x: this }, { axes: axesIn(axes, this.shape.length, "min"), ...options });
  }
  mean(axes?: Axes, options: ReduceOptions = {}): Tensor {
    const list = axesIn(axes, this.shape.length, "mean");
    return this.sum(list, options).div(list.reduce((n, axis) => n * this.shape[axis]!, 1));
  }
  /** Whether any element over the axes is true (not 0), as bool. */
  any(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return (this.dtype === "bool" ? this : this.ne(0)).cast("i32").max(axes, options).ne(0);
  }
  all(axes?: Axes, options: ReduceOptions = {}): Tensor {
    return (this.dtype === "bool" ? this : this.ne(0)).cast("i32").min(axes, options).ne(0);
  }
  argmax(axis: number, options: ReduceOptions = {}): Tensor {
    return argmax({ x: this }, { axis, ...options });
  }
  argmin(axis: number, options: ReduceOptions = {}): Tensor {
    return argmin({ x: this }, { axis, ...options });
  }

  matmul(other: TensorLike): Tensor {
    return matmul({ a: this, b: other });
  }

  // Views.
  /** One extent may be -1: what is left. */
  reshape(shape: Shape): Tensor {
    const known = shape.reduce((n, extent) => (extent === -1 ? n : n * extent), 1);
    if (known === 0 && shape.includes(-1))
      throw new ShapeError(`reshape: -1 in ${show(shape)} could be anything, as another extent is 0. Write it out.`);
    return reshape({ x: this }, { shape: shape.map((extent) => (extent === -1 ? this.size / known : extent)) });
  }
  permute(order: readonly number[]): Tensor {
    return permute({ x: this }, { order });
  }
  transpose(a = -1, b = -2): Tensor {
    const rank = this.shape.length;
    const [i, j] = [axisIn(a, rank, "transpose"), axisIn(b, rank, "transpose")];
    return this.permute(this.shape.map((_, axis) => (axis === i ? j : axis === j ? i : axis)));
  }
  expand(shape: Shape): Tensor {
    return expand({ x: this }, { shape });
  }
  unsqueeze(axis: number): Tensor {
    const at = axisIn(axis, this.shape.length + 1, "unsqueeze");
    return this.reshape([...this.shape.slice(0, at), 1, ...this.shape.slice(at)]);
  }
  /** Without axes of extent 1: the one named, or all. */
  squeeze(axis?: number): Tensor {
    if (axis === undefined) return this.reshape(this.shape.filter((extent) => extent !== 1));
    const at = axisIn(axis, this.shape.length, "squeeze");
    if (this.shape[at] !== 1) throw new ShapeError(`squeeze: axis ${axis} of ${show(this.shape)} has extent ${this.shape[at]}, not 1.`);
    return this.reshape(this.shape.filter((_, i) => i !== at));
  }
  slice(axis: number, start: number, end: number, step = 1): Tensor {
    return slice({ x: this }, { axis, start, end, step });
  }
  /** Equal parts along an axis, or parts of the given extents. */
  split(axis: number, parts: number | readonly number[]): Tensor[] {
    const extent = this.shape[axisIn(axis, this.shape.length, "split")]!;
    const extents = typeof parts === "number" ? Array.from({ length: parts }, () => extent / parts) : parts;
    if (!extents.every(Number.isInteger) || extents.reduce((a, b) => a + b, 0) !== extent)
      throw new ShapeError(`split: parts ${show(extents)} do not make up the ${extent} elements of axis ${axis}.`);
    const ends = extents.map((_, i) => extents.slice(0, i + 1).reduce((a, b) => a + b, 0));
    return ends.map((end, i) => this.slice(axis, end - extents[i]!, end));
  }
  flip(axis: number): Tensor {
    return flip({ x: this }, { axis });
  }

  // Copies.
  copy(): Tensor {
    return copy({ x: this });
  }
  static concat(xs: readonly TensorLike[], axis: number): Tensor {
    return concat({ xs }, { axis });
  }
  static stack(xs: readonly Tensor[], axis = 0): Tensor {
    return concat({ xs: xs.map((x) => x.unsqueeze(axis)) }, { axis });
  }
  concatWith(other: TensorLike, axis: number): Tensor {
    return concat({ xs: [this, other] }, { axis });
  }
  /** Adds `value` around: [before, after] for each axis. */
  pad(around: readonly (readonly [number, number])[], value = 0): Tensor {
    if (around.length !== this.shape.length)
      throw new ShapeError(`pad: needs a pair for each axis of ${show(this.shape)}, got ${around.length}.`);
    const shape = this.shape.map((n, i) => n + around[i]![0] + around[i]![1]);
    return embed({ x: this }, { shape, offsets: around.map(([before]) => before), steps: this.shape.map(() => 1), value });
  }
  take(indices: TensorLike, axis = 0): Tensor {
    return take({ x: this, indices }, { axis });
  }
  putAdd(indices: TensorLike, axis: number, extent: number): Tensor {
    return putAdd({ x: this, indices }, { axis, extent });
  }
  gather(indices: TensorLike, axis: number): Tensor {
    return gather({ x: this, indices }, { axis });
  }
  scatterAdd(indices: TensorLike, axis: number, extent: number): Tensor {
    return scatterAdd({ x: this, indices }, { axis, extent });
  }
  cumsum(axis: number, options: { exclusive?: boolean; reverse?: boolean } = {}): Tensor {
    return cumsum({ x: this }, { axis, ...options });
  }
  cumprod(axis: number, options: { exclusive?: boolean; reverse?: boolean } = {}): Tensor {
    return cumprod({ x: this }, { axis, ...options });
  }
  cummax(axis: number): Tensor {
    return cummax({ x: this }, { axis });
  }
  sort(options: { descending?: boolean } = {}): { readonly values: Tensor; readonly indices: Tensor } {
    return sort({ x: this }, options);
  }
  topK(k: number): { readonly values: Tensor; readonly indices: Tensor } {
    return topK({ x: this }, { k });
  }

  zerosLike(): Tensor {
    return zerosLike(this);
  }
  onesLike(): Tensor {
    return onesLike(this);
  }
}
