import { Cell, type DType, DTypeError, full, ShapeError, show, type Tensor, TensorError, type TensorLike } from "@x/tensor";

/** A number that is data. */
export type Scalar = number | TensorLike;

/** A scalar as a tensor [], refused with its name where it is anything else. Numbers become tensors beside `like`. */
export function asTensor(who: string, name: string, value: Scalar, like?: Cell, dtype?: DType): Tensor {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TensorError(`${who}: ${name} must be a finite number, got ${value}.`);
    return full([], value, { device: like?.device });
  }
  const tensor = Cell.isCell(value) ? value.value : value;
  if (tensor.shape.length > 0) throw new ShapeError(`${who}: ${name} must have shape [] (one number for all), got ${show(tensor.shape)}.`);
  if (dtype && tensor.dtype !== dtype)
    throw new DTypeError(`${who}: ${name} must be ${dtype}, got ${tensor.dtype}. Write .ne(0) or .cast("${dtype}").`);
  return tensor;
}

/** The gradient in the dtype of `like`, scaled. */
export function scaled(gradient: Tensor, gradScale: Tensor | undefined, { dtype }: { readonly dtype: DType }): Tensor {
  const wide = gradient.cast(dtype);
  return gradScale ? wide.mul(gradScale.cast(dtype)) : wide;
}

/** Writes a cell, unless the step is skipped. */
export function next(cell: Cell, value: Tensor, skip: Tensor | undefined): void {
  const stored = value.cast(cell.dtype);
  cell.set(skip ? skip.where(cell.value, stored) : stored);
}

/** Throws unless the number lies in [low, high], or [low, high) where `open`. */
export function expectNumber(who: string, name: string, value: number, low: number, high = Infinity, open = true): void {
  const below = open ? value < high : value <= high;
  if (!(value >= low && below))
    throw new TensorError(
      `${who}: ${name} must be ${high === Infinity ? `at least ${low}` : `in [${low}, ${high}${open ? ")" : "]"}`}, got ${value}.`,
    );
}
