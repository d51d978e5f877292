import type { Companion } from "./companion.ts";
import { context } from "./context.ts";
import type { Device } from "./device.ts";
import { type DType, dtypes } from "./dtype.ts";
import { LifetimeError } from "./errors.ts";
import type { ScalarName } from "./program.ts";
import { contiguousStrides, type Shape, sizeOf } from "./shape.ts";
import type { Trace } from "./trace.ts";

/**
 * Memory that values lie in. Outside a step it has a storage of the device; while a step is recorded it is only a name, and the plan
 * gives it a place. Counted: values hold it, and it goes back to the pool with the last of them.
 */
export class Buffer {
  references = 0;
  storage: unknown;
  /** Raised by every write to a cell's buffer: a placement made before is stale. */
  version = 0;
  /** Where the last write was made, for errors. */
  writtenAt: string | undefined;
  /** Pending expressions that read a cell's buffer; computed before it is written. */
  readonly readers = new Set<Value>();
  #companions: Map<string, Companion> | undefined;
  readonly device: Device;
  readonly bytes: number;
  /** The recording this buffer belongs to; undefined for real memory. */
  readonly trace: Trace | undefined;
  /** Storage for life: a cell, or an input that a plan owns. Never returned to the pool by counting. */
  readonly fixed: boolean;
  /** Storage that may lie in one with others: see the driver's `allocate`. */
  readonly together: boolean;

  constructor(device: Device, bytes: number, trace: Trace | undefined, fixed = false, together = fixed) {
    this.device = device;
    this.bytes = bytes;
    this.trace = trace;
    this.fixed = fixed;
    this.together = together;
  }

  /** What kernels keep beside a cell's contents. */
  get companions(): Map<string, Companion> {
    this.#companions ??= new Map();
    return this.#companions;
  }

  retain(): this {
    this.references++;
    return this;
  }

  release(): void {
    if (--this.references === 0 && !this.fixed && this.trace === undefined) this.device.pool.give(this);
  }
}

/** Where the elements of a value lie: `offset` and `strides` in elements. */
export interface Placement {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly strides: Shape;
  readonly version: number;
}

/** A pointwise result that is not computed yet: an instruction on other values. See pointwise.ts. */
export interface Expression {
  readonly op: ScalarName | "literal" | "index" | "random";
  readonly args: readonly Value[];
  /** The literal, or the ordinal of a draw. */
  readonly data: number;
}

/**
 * A result: a specification, and either a place in memory or a pending expression. Tensors are handles on it; tapes and pending
 * expressions hold it too, so that freeing a handle never takes away what a gradient still reads.
 */
export class Value {
  references = 0;
  placement: Placement | undefined;
  expression: Expression | undefined;
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  /** The recording it was made in: a pending expression from outside a step is computed outside it. */
  readonly trace: Trace | undefined = context.trace;
  /** Cells' buffers that wait for this pending expression before they are written. */
  #watched: readonly Buffer[] = [];

  constructor(device: Device, shape: Shape, dtype: DType, content: { placement: Placement } | { expression: Expression }) {
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    if ("placement" in content) this.place(content.placement);
    else {
      this.expression = content.expression;
      for (const arg of content.expression.args) arg.retain();
    }
  }

  /** Puts the result where it was computed; a pending expression is dropped with what it held. */
  place(placement: Placement): void {
    placement.buffer.retain();
    this.placement = placement;
    this.#settle();
  }

  /** Makes writes of these buffers wait until this expression is computed. */
  watch(buffers: readonly Buffer[]): void {
    this.#watched = buffers;
    for (const buffer of buffers) buffer.readers.add(this);
  }

  #settle(): void {
    const pending = this.expression;
    this.expression = undefined;
    for (const buffer of this.#watched) buffer.readers.delete(this);
    if (pending) for (const arg of pending.args) arg.release();
  }

  retain(): this {
    this.references++;
    return this;
  }

  release(): void {
    if (--this.references > 0) return;
    this.placement?.buffer.release();
    this.#settle();
  }
}

/** The placement of a computed value, refused where the memory has been written over since. */
export function checkedPlacement(value: Value, who: string): Placement {
  const placement = value.placement!;
  if (placement.version !== placement.buffer.version)
    throw new LifetimeError(
      `${who}: this tensor is a loan of a cell's value, and the cell was written since, at ${placement.buffer.writtenAt ?? "an untraced place"}. ` +
        "Read the cell again, or take cell.snapshot() before the write.",
    );
  return placement;
}

/** Fresh contiguous memory for a result: real, or a name in the step that is being recorded. */
export function allocate(device: Device, shape: Shape, dtype: DType, trace: Trace | undefined): Placement {
  const bytes = sizeOf(shape) * dtypes[dtype].bytes;
  const buffer = trace ? new Buffer(device, bytes, trace) : device.pool.take(bytes);
  return { buffer, offset: 0, strides: contiguousStrides(shape), version: buffer.version };
}
