import { context } from "./context.ts";
import type { Device } from "./device.ts";
import { defaultDevice } from "./device.ts";
import { type DType, dtypes, encode, type HostArray } from "./dtype.ts";
import { callSite, DTypeError, LifetimeError, ShapeError, TensorError, TraceError } from "./errors.ts";
import { store } from "./launch.ts";
import { materialize } from "./pointwise.ts";
import { checkShape, contiguousStrides, type Shape, sameShape, show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { type Buffer, Value } from "./value.ts";

const brand = Symbol.for("@x/tensor.cell");

/** What operations take: a tensor, or a cell, which is read on that line. */
export type TensorLike = Tensor | Cell;

export interface CellOptions {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly device?: Device | undefined;
  /** First contents, row-major; zeros if absent. */
  readonly data?: ArrayLike<number> | undefined;
}

/**
 * The only mutable thing: one storage for life, of fixed shape, dtype and device. Tensors never change; parameters, running statistics,
 * caches, optimizer moments, rates and random keys are cells. It has no arithmetic of its own: pass it to operations, or read `value`.
 */
export class Cell {
  readonly [brand] = true;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  readonly buffer: Buffer;
  #current: Value | undefined;

  constructor({ shape, dtype = "f32", device = defaultDevice("a cell"), data }: CellOptions) {
    checkShape(shape, "cell");
    if (context.trace) throw new TraceError("cell: none can be made inside a compiled step. Make it before, and capture it.");
    device.requireDType(dtype, "cell");
    this.shape = [...shape];
    this.dtype = dtype;
    this.device = device;
    this.buffer = device.pool.take(sizeOf(shape) * dtypes[dtype].bytes, true).retain();
    this.write(data ?? new Uint8Array(sizeOf(shape)));
  }

  static isCell(value: unknown): value is Cell {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }

  /** The contents as a tensor: a loan until the next write. */
  get value(): Tensor {
    return new Tensor(this.inner);
  }

  /** The loan itself: one value between two writes, so that gradients with respect to the cell find it. */
  get inner(): Value {
    this.#refuseDisposed("read");
    if (context.written?.has(this))
      throw new TraceError(
        "checkpointed: the body reads a cell after writing it. Run again for the gradient it would read something else: keep what was written in a tensor, or write the cell outside.",
      );
    context.trace?.touch(this);
    if (this.#current?.placement?.version !== this.buffer.version) {
      this.#current?.release();
      const { buffer } = this;
      const placement = { buffer, offset: 0, strides: contiguousStrides(this.shape), version: buffer.version };
      this.#current = new Value(this.device, this.shape, this.dtype, { placement }).retain();
    }
    return this.#current!;
  }

  /** A copy of the contents that outlives writes. */
  snapshot(): Tensor {
    return this.value.copy();
  }

  /** Replaces the contents by those of a tensor of the same shape and dtype; the gradient stops here. In program order with everything else. */
  set(source: TensorLike): void {
    if (context.recomputing) return;
    this.#refuseDisposed("set");
    context.trace?.touch(this);
    const value = source.inner;
    if (!sameShape(value.shape, this.shape))
      throw new ShapeError(
        `cell.set: the cell has shape ${show(this.shape)}, the tensor ${show(value.shape)}. Reshape or broadcast it first.`,
      );
    if (value.dtype !== this.dtype)
      throw new DTypeError(`cell.set: the cell is ${this.dtype}, the tensor ${value.dtype}. Call .cast("${this.dtype}") first.`);
    if (value === this.#current) return;
    // Before the readers that it is made of: in a compiled step nobody reads those then, and they are dropped.
    if (this.buffer.readers.has(value)) materialize(value);
    this.#settleReaders();
    store(value, this.buffer);
    this.#changed();
    context.written?.add(this);
  }

  /** Replaces the contents by host values, row-major. Not inside a step. */
  write(data: ArrayLike<number>): void {
    if (context.trace)
      throw new TraceError("cell.write: host data cannot be written inside a compiled step. Pass it as an argument of the step.");
    this.#refuseDisposed("written");
    if (data.length !== sizeOf(this.shape))
      throw new ShapeError(`cell.write: shape ${show(this.shape)} holds ${sizeOf(this.shape)} elements, got ${data.length}.`);
    this.#settleReaders();
    this.device.driver.write(this.buffer.storage, 0, encode(data, this.dtype));
    this.#changed();
  }

  /** The contents, once everything before has run. */
  data(): Promise<HostArray> {
    return this.value.data();
  }

  /** Gives the memory back; for cells that a program makes and drops in numbers (caches, states of requests). */
  dispose(): void {
    this.#current?.release();
    this.#current = undefined;
    this.buffer.version++;
    this.buffer.writtenAt = `dispose() at ${callSite()}`;
    for (const companion of this.buffer.companions.values()) companion.drop();
    if (this.buffer.storage !== undefined) this.device.pool.give(this.buffer);
  }

  #refuseDisposed(what: string): void {
    if (this.buffer.storage === undefined)
      throw new LifetimeError(`cell: ${what} after its memory was given back by ${this.buffer.writtenAt}.`);
  }

  #settleReaders(): void {
    for (const reader of [...this.buffer.readers]) if (reader.references > 0 && reader.expression) materialize(reader);
    this.buffer.readers.clear();
  }

  #changed(): void {
    this.buffer.version++;
    this.buffer.writtenAt = this.device.debug ? callSite() : "a cell.set or cell.write (device.debug = true records the line)";
  }
}

/** A cell that training changes. */
export class Parameter extends Cell {
  readonly trainable = true;

  /** Under `withPrecision`, what it is read as there. */
  override get inner(): Value {
    const stored = super.inner;
    return context.precision && this.dtype === "f32" ? context.precision.read(this, stored) : stored;
  }

  /** What it holds, whatever precision it is read in. */
  override data(): Promise<HostArray> {
    return new Tensor(super.inner).data();
  }
}

/** A cell that is carried along: running statistics, caches, moments, counters, keys. */
export class State extends Cell {
  readonly trainable = false;
}

/** The cell, refused with the argument's name where something else came. */
export function expectTensor(value: unknown, who: string): Value {
  if (Tensor.isTensor(value) || Cell.isCell(value)) return value.inner;
  throw new TensorError(`${who}: expected a tensor or a cell, got ${value === null ? "null" : typeof value}.`);
}
