import type { Linear } from "@x/nn";
import { type Parameter, ShapeError, scope, show } from "@x/tensor";
import type { LongformerAttention } from "./longformer.ts";

/** Any attention with these four projections: SelfAttention of `@x/attention`, or a layer of this package. */
export interface DenseAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
}

/**
 * Copies the weights of dense attention into a Longformer layer: its global projections begin as the local ones. A layer may be copied into itself, which does that alone. Beltagy et al. 2020,
 * arXiv 2004.05150, section 5.
 */
export function copyAsLongformer(from: DenseAttention, to: LongformerAttention): void {
  const pairs = [
    ...(["query", "key", "value", "output"] as const).map((name) => [name, name] as const),
    ...(["query", "key", "value"] as const).map((name) => [name, `${name}Global`] as const),
  ];
  scope(() => {
    for (const [source, target] of pairs) {
      const layer = to[target];
      if (!layer || layer === from[source]) continue;
      for (const part of ["weight", "bias"] as const) copy(`${source}.${part}`, from[source][part], `${target}.${part}`, layer[part]);
    }
  });
}

function copy(source: string, from: Parameter | undefined, target: string, to: Parameter | undefined): void {
  const shape = (parameter: Parameter | undefined) => (parameter ? show(parameter.shape) : "none");
  if (shape(from) !== shape(to))
    throw new ShapeError(
      `copyAsLongformer: ${source} is ${shape(from)}, and ${target} of the Longformer layer is ${shape(to)}. Make both with the same dim, heads and biases.`,
    );
  if (from && to) to.set(from.value);
}
