import { expectChoice, expectCounts } from "@x/nn";
import { type Shape, ShapeError, sameShape, scope, show, statisticsOf, type Tensor, TensorError, zeros } from "@x/tensor";
import { type Carried, causalSums } from "./causal-sums.ts";
import type { FeatureMap } from "./features.ts";
import { stepSums } from "./step-sums.ts";
import { allSums, type KeysAndValues, type MaskMode, masked, type Sums, withoutScales } from "./sums.ts";

/** What linear attention may be told, beside its kernel. */
export interface KernelAttention {
  readonly causal?: boolean;
  /** Divides by the sum of the kernel's values. Without, the result is their sum times the values as it stands. */
  readonly normalize?: boolean;
  readonly maskMode?: MaskMode;
  /** Positions that causal attention takes at once. */
  readonly chunk?: number;
  /** Which keys set the scale that exponentials are divided by in causal attention: "running", those so far, or "global", all of them, as published; then a later key changes an earlier result by about `eps`. */
  readonly stabilizer?: "running" | "global";
  /** Added to the denominator, relative to the scale that was divided by, as fast-transformers does. */
  readonly denominatorEps?: number;
  /** Added to each entry of the keys' running sum in causal attention, as lucidrains' performer-pytorch does. */
  readonly keySumEps?: number;
}

export type KernelSettings = Required<KernelAttention>;

/** With defaults, refused where they contradict the kernel. */
export function settingsFor(who: string, features: FeatureMap, options: KernelAttention): KernelSettings {
  const { causal = false, normalize = true, maskMode = "keys", chunk = 64, stabilizer = "running" } = options;
  const { denominatorEps = 0, keySumEps = 0 } = options;
  expectCounts(who, { chunk });
  expectChoice(who, "maskMode", maskMode, ["keys", "values-only"]);
  expectChoice(who, "stabilizer", stabilizer, ["running", "global"]);
  for (const [name, value] of Object.entries({ denominatorEps, keySumEps }))
    if (!(value >= 0 && Number.isFinite(value))) throw new TensorError(`${who}: ${name} must be a finite number, 0 or more, got ${value}.`);
  if (normalize && !features.normalizable)
    throw new TensorError(
      `${who}: the kernel of ${features.constructor.name} may be 0 or below, so that there is nothing to divide by. Pass { normalize: false }.`,
    );
  return { causal, normalize, maskMode, chunk, stabilizer, denominatorEps, keySumEps };
}

export interface LinearInputs {
  /** [batch, heads, queries, headDim] */
  readonly q: Tensor;
  /** [batch, kvHeads, keys, headDim]: kvHeads divides heads. */
  readonly k: Tensor;
  /** [batch, kvHeads, keys, valueDim] */
  readonly v: Tensor;
  /** bool [batch, keys]: true where a key may be seen. */
  readonly keyMask?: Tensor | undefined;
}

/**
 * sum over keys of K(q, k) v / sum over keys of K(q, k), with a kernel K(q, k) = phi(q) . phi(k) in the place of exp(scores), so that the keys are summed up once: o = phi(q) (phi(K)^T V) / (phi(q) . sum of phi(k)). The
 * work is queries x features x valueDim. Query head h reads key-value head floor(h kvHeads / heads). Computed in f32; a query that sees nothing gets zeros. -> [batch, heads, queries, valueDim]. Katharopoulos et al.
 * 2020, arXiv 2006.16236; Choromanski et al. 2020, arXiv 2009.14794.
 */
export function linearAttention(
  inputs: LinearInputs,
  { features, ...options }: KernelAttention & { readonly features: FeatureMap },
): Tensor {
  checkInputs(inputs, options.causal ?? false);
  const settings = settingsFor("linearAttention", features, options);
  return scope(() => attend(inputs, features, settings).o);
}

/** Linear attention of inputs that fit, over what was before where `before` says it; then `carried` is what it adds up to. */
export function attend(
  { q, k, v, keyMask }: LinearInputs,
  features: FeatureMap,
  settings: KernelSettings,
  before?: Carried,
): { readonly o: Tensor; readonly carried: Carried | undefined } {
  const { causal, maskMode } = settings;
  const [batch, heads, count] = q.shape as [number, number, number];
  if (count === 0 || k.shape[2] === 0) return { o: zeros([batch, heads, count, v.shape[3]!], q), carried: before };
  const queries = features.forward(q, { side: "query", causal });
  const keys = features.forward(k, { side: "key", causal, keyMask: maskMode === "keys" ? keyMask : undefined });
  const wide = statisticsOf(v.dtype);
  const given = masked({ keys, v: v.cast(wide) }, keyMask, maskMode);
  const rows = queries.floor > 0 ? queries.values.add(queries.floor) : queries.values;
  const sums = causal ? causalOf(rows, given, settings, before) : { ...allSums(rows, given), carried: undefined };
  const o = settings.normalize ? quotient(sums, settings.denominatorEps) : restored(sums, queries.logScale);
  return { o: o.cast(q.dtype), carried: sums.carried };
}

function causalOf(q: Tensor, given: KeysAndValues, { stabilizer: by, ...options }: KernelSettings, before: Carried | undefined) {
  if (before && q.shape[2] === 1) return stepSums(q, given, { ...options, before });
  if (by === "running") return causalSums(q, given, { ...options, before });
  const { stabilizer, ...relative } = withoutScales(given);
  return { ...causalSums(q, relative, { ...options, before }), stabilizer };
}

/** Zeros where there is nothing to divide by. */
function quotient({ numerator, denominator }: Sums, eps: number): Tensor {
  const all = eps > 0 ? denominator.add(eps) : denominator;
  return numerator.div(all.abs().gt(1e-30).where(all, 1));
}

/** The numerator with the scales that were taken out of queries and keys. */
function restored({ numerator, stabilizer }: Sums, queryScale: Tensor | undefined): Tensor {
  if (!stabilizer && !queryScale) return numerator;
  const [batch, heads, queries, width] = numerator.shape as [number, number, number, number];
  if (!stabilizer) return numerator.mul(queryScale!.exp());
  const kvHeads = stabilizer.shape[1]!;
  const apart = (x: Tensor) => x.reshape([batch, kvHeads, heads / kvHeads, queries, x.shape[3]!]);
  const scale = queryScale ? apart(queryScale).add(stabilizer.unsqueeze(2)) : stabilizer.unsqueeze(2);
  return apart(numerator).mul(scale.exp()).reshape([batch, heads, queries, width]);
}

function checkInputs({ q, k, v, keyMask }: LinearInputs, causal: boolean): void {
  const who = "linearAttention";
  for (const [name, x] of Object.entries({ q, k, v }))
    if (x.shape.length !== 4 || x.shape[0] !== q.shape[0])
      throw new ShapeError(
        `${who}: ${name} must be [${name === "q" ? "batch" : q.shape[0]}, heads, length, headDim], got ${show(x.shape)}.`,
      );
  const [batch, heads, queries, headDim] = q.shape as [number, number, number, number];
  const [, kvHeads, keys] = k.shape as [number, number, number];
  if (k.shape[3] !== headDim) throw new ShapeError(`${who}: k must have the headDim ${headDim} of q, got ${show(k.shape)}.`);
  if (v.shape[1] !== kvHeads || v.shape[2] !== keys)
    throw new ShapeError(`${who}: v must have the heads and length of k ${show(k.shape)}, got ${show(v.shape)}.`);
  if (heads % kvHeads !== 0) throw new ShapeError(`${who}: the ${heads} heads of q must be a multiple of the ${kvHeads} of k.`);
  if (causal && queries !== keys)
    throw new ShapeError(`${who}: causal attention needs as many keys as queries, got ${keys} and ${queries}. Decode with a LinearState.`);
  checkMask(who, keyMask, [batch, keys]);
}

export function checkMask(who: string, keyMask: Tensor | undefined, shape: Shape): void {
  if (keyMask && (keyMask.dtype !== "bool" || !sameShape(keyMask.shape, shape)))
    throw new ShapeError(`${who}: keyMask must be bool ${show(shape)}, got ${keyMask.dtype} ${show(keyMask.shape)}.`);
}
