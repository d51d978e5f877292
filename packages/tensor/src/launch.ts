import { context } from "./context.ts";
import type { Device } from "./device.ts";
import { dtypes } from "./dtype.ts";
import { computeExpression } from "./fuse.ts";
import type { Binding, Kernel, LayoutSpec, PlanRequest } from "./kernel.ts";
import type { Contract, Spec } from "./op.ts";
import { copy } from "./primitives/copy.ts";
import { contiguousStrides, isContiguous, sizeOf } from "./shape.ts";
import { allocate, type Buffer, checkedPlacement, type Placement, Value } from "./value.ts";

export type Bound = Value | readonly Value[] | undefined;
type Placed = Placement | readonly Placement[];
/** Memory a result is to be computed into, instead of fresh one. */
export type Destination = Placement;

/** A name of a launch and the memory behind it, in elements of `bytesPerElement`. */
export interface Bind {
  readonly name: string;
  readonly buffer: Buffer;
  readonly offset: number;
  readonly bytes: number;
}

/** One application of a kernel, with everything that planning and running it needs. */
export interface Application {
  readonly contract: Contract;
  readonly kernel: Kernel;
  readonly specs: PlanRequest["specs"];
  readonly outputs: PlanRequest["outputs"];
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly wants: ReadonlySet<string>;
  readonly reads: readonly Bind[];
  readonly writes: readonly Bind[];
}

/** Applies a contract through its kernel: inputs are computed and laid out as it wants, outputs allocated, and it runs or is recorded. */
export function launch(
  device: Device,
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  outputs: Readonly<Record<string, Spec | readonly Spec[]>>,
  wants: ReadonlySet<string>,
  destinations: Readonly<Record<string, Destination>> = {},
): Record<string, Placed> {
  const kernel = device.require(contract, inputs, attrs, outputs);
  const reads: Bind[] = [];
  const specs: Record<string, LayoutSpec | LayoutSpec[] | undefined> = {};
  const temporary: Value[] = [];
  for (const [name, bound] of Object.entries(inputs)) {
    const lay = (value: Value, as: string) => {
      temporary.push(value.retain());
      const laid = layOut(value, kernel.layout?.[name], contract.name);
      if (laid !== value) temporary.push(laid.retain());
      return bindInput(laid, as, device, reads);
    };
    specs[name] = bound === undefined ? undefined : isList(bound) ? bound.map((value, i) => lay(value, `${name}.${i}`)) : lay(bound, name);
  }
  const writes: Bind[] = [];
  const placed = mapEntries(outputs, (spec, as) => {
    const placement = destinations[as] ?? allocate(device, spec.shape, spec.dtype, context.trace);
    writes.push({ name: as, buffer: placement.buffer, offset: placement.offset * dtypes[spec.dtype].bytes, bytes: bytesOf(spec) });
    return placement;
  });
  // Auxiliary outputs nobody asked for are not made at all.
  const application: Application = { contract, kernel, specs, outputs: mapEntries(outputs, plainSpec), attrs, wants, reads, writes };
  if (context.trace) context.trace.record(application);
  else device.run(application);
  for (const value of temporary) value.release();
  return placed;
}

/** The value computed, and copied where the kernel cannot take its layout. */
function layOut(value: Value, layout: "rows" | "strided" | undefined, who: string): Value {
  if (value.expression) computeExpression(value);
  const { strides, offset } = checkedPlacement(value, who);
  const aligned = layout === "strided" || (offset * dtypes[value.dtype].bytes) % value.device.driver.alignment === 0;
  const last = value.shape.length - 1;
  const fits =
    layout === "strided" ||
    isContiguous(value.shape, strides) ||
    (layout === "rows" && (value.shape[last] === 1 || strides[last] === 1) && strides.every((stride) => stride >= 0));
  return fits && aligned ? value : contiguous(value);
}

/** A contiguous copy of a value, as a value of its own. */
export function contiguous(value: Value): Value {
  const { y } = launch(value.device, copy.contract, { x: value }, {}, { y: value }, new Set());
  return new Value(value.device, value.shape, value.dtype, { placement: y as Placement });
}

function bindInput(value: Value, name: string, device: Device, reads: Bind[]): LayoutSpec {
  const { buffer, offset: placed, strides } = checkedPlacement(value, name);
  const empty = sizeOf(value.shape) === 0;
  const offset = empty ? 0 : placed;
  const width = dtypes[value.dtype].bytes;
  const { alignment } = device.driver;
  // Negative strides reach back from the first element; the binding must hold what they reach.
  const first = empty ? 0 : value.shape.reduce((at, n, axis) => at + Math.min(0, (n - 1) * strides[axis]!), offset);
  const start = Math.floor((first * width) / alignment) * alignment;
  reads.push({ name, buffer, offset: start, bytes: buffer.bytes - start });
  const layout = isContiguous(value.shape, strides) ? contiguousStrides(value.shape) : strides;
  return { shape: value.shape, dtype: value.dtype, strides: layout, offset: offset - start / width };
}

/** Computes `value` into the start of `buffer`: directly where it is pending, else by a copy. */
export function store(value: Value, buffer: Buffer): void {
  const destination: Placement = { buffer, offset: 0, strides: contiguousStrides(value.shape), version: buffer.version };
  if (value.expression && !readsElsewhere(value, buffer)) {
    computeExpression(value, destination);
    return;
  }
  if (value.expression) computeExpression(value);
  if (value.placement!.buffer === buffer && !isWhole(value)) {
    const copied = contiguous(value).retain();
    store(copied, buffer);
    copied.release();
    return;
  }
  launch(value.device, copy.contract, { x: value }, {}, { y: value }, new Set(), { y: destination });
}

const isWhole = (value: Value) => value.placement!.offset === 0 && isContiguous(value.shape, value.placement!.strides);

/** Whether a pending expression reads the buffer at places other than the element it writes. */
function readsElsewhere(value: Value, buffer: Buffer): boolean {
  const size = sizeOf(value.shape);
  const visit = (node: Value): boolean => {
    if (node.placement) return node.placement.buffer === buffer && (!isWhole(node) || sizeOf(node.shape) !== size);
    return node.expression!.args.some(visit);
  };
  return visit(value);
}

/** The memory behind the names of an application, for a driver. */
export function bindings(application: Application, storageOf: (buffer: Buffer) => unknown): Record<string, Binding> {
  const { contract, reads, writes } = application;
  const out: Record<string, Binding> = {};
  for (const { name, buffer, offset, bytes } of reads) out[name] = { storage: storageOf(buffer), offset, bytes };
  for (const { name, buffer, offset, bytes } of writes) out[outputMemory(contract, name)] = { storage: storageOf(buffer), offset, bytes };
  return out;
}

/** What launches call an output's memory: its name, or `out.NAME` where an input has that name. */
export const outputMemory = (contract: Contract, name: string): string => (name.split(".")[0]! in contract.inputs ? `out.${name}` : name);

export const isList = <T>(value: T | readonly T[]): value is readonly T[] => Array.isArray(value);
const plainSpec = ({ shape, dtype }: Spec): Spec => ({ shape, dtype });
const bytesOf = (spec: Spec): number => sizeOf(spec.shape) * dtypes[spec.dtype].bytes;

/** Maps each entry, or each item of a list, with its buffer name: `y`, or `ys.0`, `ys.1`, ... */
function mapEntries<T, R>(
  record: Readonly<Record<string, T | readonly T[]>>,
  map: (item: T, name: string) => R,
): Record<string, R | readonly R[]> {
  return Object.fromEntries(
    Object.entries(record).map(([name, item]) => [name, isList(item) ? item.map((one, i) => map(one, `${name}.${i}`)) : map(item, name)]),
  );
}
