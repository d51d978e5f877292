import { DTypeError, isFloat, ShapeError, type Spec, sameShape, show, statisticsOf } from "@x/tensor";

/** A weight or bias of a norm must be [width] to match the last axis of x, and of its dtype. */
export function checkScale(who: string, name: string, scale: Spec | undefined, x: Spec): void {
  if (!scale) return;
  const width = x.shape.at(-1);
  if (scale.shape.length !== 1 || scale.shape[0] !== width)
    throw new ShapeError(`${who}: ${name} must be [${width}] to match x ${show(x.shape)}, got ${show(scale.shape)}.`);
  expectDType(who, name, scale, x);
}

export function expectDType(who: string, name: string, spec: Spec, x: Spec): void {
  if (spec.dtype !== x.dtype)
    throw new DTypeError(`${who}: ${name} is ${spec.dtype}, x is ${x.dtype}. Nothing is promoted: write .cast("${x.dtype}").`);
}

export function expectFloat(who: string, name: string, spec: Spec): void {
  if (!isFloat(spec.dtype)) throw new DTypeError(`${who}: ${name} must be floating point, got ${spec.dtype}. Cast it first.`);
}

export function expectSame(who: string, name: string, spec: Spec, x: Spec): void {
  if (!sameShape(spec.shape, x.shape))
    throw new ShapeError(`${who}: ${name} must have the shape of x ${show(x.shape)}, got ${show(spec.shape)}.`);
  expectDType(who, name, spec, x);
}

/** The statistics of rows: x without its last axis, f32 (f64 for f64). */
export const rowsOf = (x: Spec): Spec => ({ shape: x.shape.slice(0, -1), dtype: statisticsOf(x.dtype) });
