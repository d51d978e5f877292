import { TensorError } from "@x/tensor";
import type { Pattern } from "./pattern.ts";

/** Seen where every pattern lets see: as often as the product of what each says. */
export const and = (...parts: readonly Pattern[]): Pattern => {
  const all = combined("and", parts, {
    neutral: 1,
    join: (a, b) => a * b,
    decide: (known) => (known.includes(0) ? 0 : undefined),
  });
  const bands = parts.flatMap(({ band }) => band ?? []);
  if (bands.length < parts.length || parts.length === 1) return all;
  return { ...all, band: { from: Math.max(...bands.map(({ from }) => from)), to: Math.min(...bands.map(({ to }) => to)) } };
};

/** Seen where any pattern lets see: as often as the one that says most. */
export const or = (...parts: readonly Pattern[]): Pattern =>
  combined("or", parts, {
    neutral: 0,
    join: Math.max,
    decide(known) {
      const most = Math.max(0, ...known.map((times) => times ?? 0));
      const surpassed = parts.some(({ repeats }, i) => known[i] === undefined && repeats);
      return most >= 1 && !surpassed ? most : undefined;
    },
  });

interface Rule {
  /** What changes nothing. */
  readonly neutral: number;
  join(a: number, b: number): number;
  /** What a block is though some parts do not know theirs. */
  decide(known: readonly (number | undefined)[]): number | undefined;
}

function combined(who: string, parts: readonly Pattern[], rule: Rule): Pattern {
  if (parts.length === 0) throw new TensorError(`${who}: needs at least one pattern.`);
  if (parts.length === 1) return parts[0]!;
  const { neutral, join, decide } = rule;
  const sizes = new Set(parts.flatMap(({ blockSize }) => (blockSize === Number.POSITIVE_INFINITY ? [] : [blockSize])));
  const [blockSize = Number.POSITIVE_INFINITY] = sizes;
  return {
    ...(sizes.size <= 1 && !sizes.has(undefined) && { blockSize }),
    nameOf: (q0, q1, k0, k1) => parts.map((part) => part.block(q0, q1, k0, k1) ?? `(${part.nameOf(q0, q1, k0, k1)})`).join(),
    repeats: parts.some(({ repeats }) => repeats),
    times: (query, key) => parts.reduce((times, part) => join(times, part.times(query, key)), neutral),
    block(q0, q1, k0, k1) {
      const known = parts.map((part) => part.block(q0, q1, k0, k1));
      return known.includes(undefined) ? decide(known) : (known as number[]).reduce((a, b) => join(a, b), neutral);
    },
  };
}
