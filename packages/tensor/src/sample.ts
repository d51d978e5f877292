import type { DType } from "./dtype.ts";
import type { Contract } from "./op.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** How a sample's input is filled. Numbers come from a seeded stream, the same on every device. */
export type Fill =
  | { readonly kind: "normal"; readonly mean?: number; readonly deviation?: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  /** Integers from low to high - 1. */
  | { readonly kind: "integers"; readonly low: number; readonly high: number }
  /** These, row-major, repeated to the size that is needed. */
  | { readonly kind: "values"; readonly values: readonly number[] };

/** How far a result may lie from the expected one: |a - b| <= atol + rtol * |b|. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
}

export interface SampleInput {
  readonly shape: Shape;
  /** f32 if absent. */
  readonly dtype?: DType;
  /** Absent: standard normal for floats, small integers for integers, coin tosses for bool. */
  readonly fill?: Fill;
  /** Handed over as a view that is not contiguous: a transposed, sliced or repeated one of the same elements. */
  readonly layout?: "contiguous" | "transposed" | "sliced" | "expanded";
}

interface Case {
  /** Reads like a sentence: "B2 S13 causal, grouped heads". */
  readonly name: string;
  readonly inputs: Readonly<Record<string, SampleInput | readonly SampleInput[] | number | undefined>>;
  /** Allowed against the reference in f64 (f32 where the op has no f64). Absent: by dtype; integers and bools must be equal. */
  readonly tolerance?: Tolerance;
  /** The same for gradients; absent: as for values. */
  readonly gradientTolerance?: Tolerance;
  /** Inputs whose gradients are compared; absent: every floating point one. Empty: none. */
  readonly gradients?: readonly string[];
}

/** One case that every kernel of a contract must get right; kept beside the contract, on its package's `samples` subpath. */
export interface OpSample extends Case {
  readonly op: { readonly contract: Contract };
  readonly attrs?: Readonly<Record<string, unknown>>;
  readonly build?: undefined;
}

/** The same for what is no single operation: chains of elementwise operations, which run as one program. */
export interface ExpressionSample extends Case {
  readonly op?: undefined;
  readonly attrs?: undefined;
  build(inputs: Readonly<Record<string, Tensor>>): Tensor;
}

export type Sample = OpSample | ExpressionSample;
