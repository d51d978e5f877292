import type { Parameter } from "./cell.ts";
import { context, within } from "./context.ts";
import { TensorError } from "./errors.ts";
import { refusePromise, scope } from "./scope.ts";
import { Tensor } from "./tensor.ts";
import type { Value } from "./value.ts";

/** What a model's parameters and activations are computed in; statistics, softmax and losses stay in f32. */
export type Precision = "f32" | "f16" | "bf16";
const precisions: readonly Precision[] = ["f32", "f16", "bf16"];

/** What reading an f32 parameter gives instead of its contents. */
export interface Policy {
  readonly dtype: "f16" | "bf16";
  /** `stored` is what the parameter holds now. */
  read(parameter: Parameter, stored: Value): Value;
}

/** The dtype that f32 parameters are read in here: what a layer casts a constant to, or a loss function its inputs, before they meet activations. */
export const currentPrecision = (): Precision => context.precision?.dtype ?? "f32";

/**
 * Runs `fn` with f32 parameters read in another precision, so that a model of them computes in it. Each of `parameters` is cast once, at the start; any other one is cast where it
 * is read. The cells stay f32, and writing them takes f32. A gradient taken inside has this precision; one taken around it arrives in f32 through the cast. Synchronous.
 * Micikevicius et al. 2018, arXiv 1710.03740.
 */
export function withPrecision<R>(precision: Precision, parameters: Iterable<Parameter>, fn: () => R): R {
  if (!precisions.includes(precision))
    throw new TensorError(`withPrecision: precision must be one of ${precisions.join(", ")}, got ${JSON.stringify(precision)}.`);
  const policy = precision === "f32" ? undefined : policyOf(precision, parameters);
  try {
    const result = within({ precision: policy }, fn);
    refusePromise(result, "withPrecision");
    return result;
  } finally {
    policy?.end();
  }
}

function policyOf(dtype: Policy["dtype"], parameters: Iterable<Parameter>): Policy & { end(): void } {
  const cast = (stored: Value) => new Tensor(stored).cast(dtype).inner;
  const once = new Map<Parameter, { readonly stored: Value; readonly narrow: Value }>();
  within({ precision: undefined }, () => {
    for (const parameter of parameters)
      if (parameter.dtype === "f32" && !once.has(parameter))
        scope(() => once.set(parameter, { stored: parameter.inner, narrow: cast(parameter.inner).retain() }));
  });
  return {
    dtype,
    read(parameter, stored) {
      const made = once.get(parameter);
      // Written since, or let go by everyone: a checkpointed body may run again after the end.
      return made?.stored === stored && made.narrow.references > 0 ? made.narrow : cast(stored);
    },
    end() {
      for (const { narrow } of once.values()) narrow.release();
    },
  };
}
