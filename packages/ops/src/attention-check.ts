import { DTypeError, ShapeError, type Spec, show, statisticsOf, TensorError } from "@x/tensor";
import { expectDType, expectFloat } from "./expect.ts";

interface Operands {
  readonly q: Spec;
  readonly k: Spec;
  readonly v: Spec;
  readonly keyMask: Spec | undefined;
}

/** Checks q [B, H, Sq, D], k [B, G, Sk, D], v [B, G, Sk, Dv], keyMask [B, Sk]; the result's shape. */
export function checkHeads(who: string, { q, k, v, keyMask }: Operands, scale: number): Spec {
  expectFloat(who, "q", q);
  expectDType(who, "k", k, q, "q");
  expectDType(who, "v", v, q, "q");
  for (const [name, spec] of Object.entries({ q, k, v }))
    if (spec.shape.length !== 4) throw new ShapeError(`${who}: ${name} must be [batch, heads, length, headDim], got ${show(spec.shape)}.`);
  const [batch, heads, length, dim] = q.shape as [number, number, number, number];
  const [kvHeads, keys] = [k.shape[1]!, k.shape[2]!];
  if (!Number.isFinite(scale))
    throw new TensorError(`${who}: scale must be a finite number, got ${scale}. It is usually 1 / sqrt(headDim).`);
  if (k.shape[0] !== batch || v.shape[0] !== batch)
    throw new ShapeError(`${who}: batches differ: q ${show(q.shape)}, k ${show(k.shape)}, v ${show(v.shape)}.`);
  if (k.shape[3] !== dim) throw new ShapeError(`${who}: q and k must have one headDim, got ${dim} and ${k.shape[3]}.`);
  if (v.shape[1] !== kvHeads || v.shape[2] !== keys)
    throw new ShapeError(`${who}: k ${show(k.shape)} and v ${show(v.shape)} must agree in heads and length.`);
  if (kvHeads === 0 || heads % kvHeads !== 0)
    throw new ShapeError(`${who}: the ${heads} query heads must be a multiple of the ${kvHeads} key-value heads.`);
  if (keyMask && show(keyMask.shape) !== show([batch, keys]))
    throw new ShapeError(`${who}: keyMask must be [${batch}, ${keys}], got ${show(keyMask.shape)}.`);
  if (keyMask && keyMask.dtype !== "bool")
    throw new DTypeError(`${who}: keyMask must be bool (true: attend), got ${keyMask.dtype}. Write .ne(0).`);
  return { shape: [batch, heads, length, v.shape[3]!], dtype: q.dtype };
}

/** The attributes of attention, which its gradient has too. */
export interface AttentionAttrs {
  readonly scale: number;
  readonly causal: boolean;
  readonly softcap: number;
  readonly dropout: number;
  readonly ordinal: number;
}

/** What `checkHeads` checks, and map, bias, key and the attributes; the result's shape. */
export function checkAttention(
  who: string,
  inputs: Operands & { readonly map: Spec | undefined; readonly bias: Spec | undefined; readonly key: Spec | undefined },
  { scale, causal, softcap, dropout, ordinal }: AttentionAttrs,
): Spec {
  const o = checkHeads(who, inputs, scale);
  const { q, map, bias, key } = inputs;
  checkMap(who, map, causal);
  checkBias(who, bias, q);
  checkSoftcap(who, softcap);
  if (!(dropout >= 0 && dropout <= 1)) throw new TensorError(`${who}: dropout must be a probability from 0 to 1, got ${dropout}.`);
  if (dropout > 0 && !key)
    throw new TensorError(
      `${who}: dropout ${dropout} needs a key to draw from. Pass key: generator.key and ordinal: generator.nextOrdinal().`,
    );
  if (key && (key.dtype !== "u32" || show(key.shape) !== show([4])))
    throw new ShapeError(`${who}: key must be u32 [4], a generator's key, got ${key.dtype} ${show(key.shape)}.`);
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal >= 2 ** 32)
    throw new TensorError(`${who}: ordinal must be a whole number below 2^32, got ${ordinal}. Take generator.nextOrdinal().`);
  return o;
}

export function checkSoftcap(who: string, softcap: number): void {
  if (!(softcap >= 0) || !Number.isFinite(softcap))
    throw new TensorError(`${who}: softcap must be the largest score, or 0 for none, got ${softcap}.`);
}

function checkMap(who: string, map: Spec | undefined, causal: boolean): void {
  if (!map) return;
  if (map.dtype !== "u32" || map.shape.length !== 1 || map.shape[0]! < 16)
    throw new ShapeError(`${who}: map must be a block map, u32 [capacity], got ${map.dtype} ${show(map.shape)}. Make it with blockMap().`);
  if (causal)
    throw new TensorError(`${who}: with a map, causal is part of it: leave causal out, and build the map from and(causal(), ...).`);
}

/** A table by distance is centred, so it has an odd number of entries. */
export function checkBias(who: string, bias: Spec | undefined, q: Spec): void {
  if (!bias) return;
  const heads = q.shape[1]!;
  if (bias.shape.length !== 2 || bias.shape[0] !== heads || bias.shape[1]! % 2 !== 1)
    throw new ShapeError(
      `${who}: bias must be [${heads}, 2 reach + 1], a number for each head and each distance from -reach to reach, got ${show(bias.shape)}.`,
    );
  const dtype = statisticsOf(q.dtype);
  if (bias.dtype !== dtype)
    throw new DTypeError(`${who}: bias must be ${dtype} for ${q.dtype} q, got ${bias.dtype}. Write .cast("${dtype}").`);
}
