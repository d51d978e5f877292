import { and, causal, dilated, or, type Pattern, prefix, window } from "@x/ops";

/** Positions in a block of a block map (`@x/ops`): what is aligned to it needs fewer masks. */
export const mapBlock = 64;

/** Keys within `reach` steps of `dilation` positions on each side; causal: on the left alone. Longformer's sliding window. */
export function slidingWindow(
  reach: number,
  { dilation = 1, causal: past = false }: { dilation?: number; causal?: boolean } = {},
): Pattern {
  const both = dilation === 1 ? window(reach, reach) : dilated(reach, dilation);
  return past ? and(causal(), both) : both;
}

/**
 * Blocks of `size` positions, each of which sees itself and the block on either side: a reach from `size` to 2 size - 1, by where in its block a query stands. Not a sliding window.
 * allenai's `sliding_chunks_no_overlap`.
 */
export function neighbourBlocks(size: number, { causal: past = false }: { causal?: boolean } = {}): Pattern {
  const at = (position: number) => Math.floor(position / size);
  const sees = (query: number, key: number) => Math.abs(at(query) - at(key)) <= 1;
  const blocks: Pattern = {
    nameOf: (q0, _, k0) => `${q0 - at(q0) * size} ${k0 - at(q0) * size}`,
    times: (query, key) => Number(sees(query, key)),
    block(q0, q1, k0, k1) {
      const [least, most] = [at(k0) - at(q1 - 1), at(k1 - 1) - at(q0)];
      if (most < -1 || least > 1) return 0;
      return least >= -1 && most <= 1 ? 1 : undefined;
    },
  };
  return past ? and(causal(), blocks) : blocks;
}

/** `local`, and the keys at `tokens`, which every query sees; but the queries there see nothing: what is wanted of them is computed otherwise. */
export function withGlobalKeys(local: Pattern, tokens: readonly number[]): Pattern {
  const sorted = [...tokens].sort((a, b) => a - b);
  const known = new Set(tokens);
  const within = (from: number, to: number) => sorted.filter((token) => token >= from && token < to);
  return {
    ...(local.repeats !== undefined && { repeats: local.repeats }),
    nameOf(q0, q1, k0, k1) {
      const [queries, keys] = [within(q0, q1).map((token) => token - q0), within(k0, k1).map((token) => token - k0)];
      return `${queries} ${keys} ${local.block(q0, q1, k0, k1) ?? `(${local.nameOf(q0, q1, k0, k1)})`}`;
    },
    times: (query, key) => (known.has(query) ? 0 : known.has(key) ? 1 : local.times(query, key)),
    block(q0, q1, k0, k1) {
      const [queries, keys] = [within(q0, q1).length, within(k0, k1).length];
      if (queries > 0) return queries === q1 - q0 ? 0 : undefined;
      if (keys === k1 - k0) return 1;
      const times = local.block(q0, q1, k0, k1);
      return keys === 0 || times === 1 ? times : undefined;
    },
  };
}

/** `slots` keys before the sequence, which every query sees, and `local` over the sequence behind them. */
export const behindSlots = (local: Pattern, slots: number): Pattern => or(prefix(slots), shifted(local, slots));

/** A pattern as it is seen by positions that count `by` more. */
const shifted = (pattern: Pattern, by: number): Pattern => ({
  ...(pattern.repeats !== undefined && { repeats: pattern.repeats }),
  nameOf: (q0, q1, k0, k1) => pattern.nameOf(q0 - by, q1 - by, k0 - by, k1 - by),
  times: (query, key) => pattern.times(query - by, key - by),
  block: (q0, q1, k0, k1) => pattern.block(q0 - by, q1 - by, k0 - by, k1 - by),
});
