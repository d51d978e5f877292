import { DTypeError, isFloat, type Shape, ShapeError, type Spec, sameShape, show, statisticsOf } from "@x/tensor";

/** A weight or bias of a norm must be [width] to match the last axis of x, and of its dtype. */
export function checkScale(who: string, name: string, scale: Spec | undefined, x: Spec): void {
  if (!scale) return;
  const width = lastOf(who, "x", x);
  if (scale.shape.length !== 1 || scale.shape[0] !== width)
    throw new ShapeError(`${who}: ${name} must be [${width}] to match x ${show(x.shape)}, got ${show(scale.shape)}.`);
  expectDType(who, name, scale, x);
}

/** The extent of the last axis, which an operation over rows needs. */
export function lastOf(who: string, name: string, { shape }: Spec): number {
  const last = shape.at(-1);
  if (last === undefined) throw new ShapeError(`${who}: ${name} must have at least one axis, got a scalar. Write .reshape([1]).`);
  return last;
}

export function expectDType(who: string, name: string, spec: Spec, x: Spec, xName = "x"): void {
  if (spec.dtype !== x.dtype)
    throw new DTypeError(`${who}: ${name} is ${spec.dtype}, ${xName} is ${x.dtype}. Nothing is promoted: write .cast("${x.dtype}").`);
}

export function expectFloat(who: string, name: string, spec: Spec): void {
  if (!isFloat(spec.dtype)) throw new DTypeError(`${who}: ${name} must be floating point, got ${spec.dtype}. Cast it first.`);
}

export function expectShape(who: string, name: string, spec: Spec, shape: Shape, why: string): void {
  if (!sameShape(spec.shape, shape)) throw new ShapeError(`${who}: ${name} must be ${show(shape)} ${why}, got ${show(spec.shape)}.`);
}

export function expectSame(who: string, name: string, spec: Spec, x: Spec, xName = "x"): void {
  expectShape(who, name, spec, x.shape, `like ${xName}`);
  expectDType(who, name, spec, x, xName);
}

/** One i32 for each entry of the batch. */
export function expectEntries(who: string, name: string, spec: Spec, batch: number): void {
  if (spec.dtype !== "i32") throw new DTypeError(`${who}: ${name} must be i32, got ${spec.dtype}. Cast it first.`);
  expectShape(who, name, spec, [batch], "(one for each batch entry)");
}

/** Statistics of rows, as the forward pass left them: x without its last axis, f32 (f64 for f64). */
export function expectStatistics(who: string, name: string, spec: Spec, x: Spec, xName = "x"): void {
  const rows = rowsOf(x);
  expectShape(who, name, spec, rows.shape, `to match the rows of ${xName}`);
  if (spec.dtype !== rows.dtype) throw new DTypeError(`${who}: ${name} must be ${rows.dtype} for ${x.dtype} ${xName}, got ${spec.dtype}.`);
}

/** The statistics of rows: x without its last axis, f32 (f64 for f64). */
export const rowsOf = (x: Spec): Spec => ({ shape: x.shape.slice(0, -1), dtype: statisticsOf(x.dtype) });
