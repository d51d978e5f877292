import type { Pattern } from "./pattern.ts";

/** A query sees the keys that carry its id: the documents of a packed row, ids[position]. With `and(causal(), segments(ids))` each document is its own sequence. */
export const segments = (ids: ArrayLike<number>): Pattern => sameId(ids, () => true);

/** Positions that carry one id see each other, before and after; id 0 stands for none. With `or(causal(), ...)` the tokens of one image see all of it (NEO). */
export const bidirectionalWithin = (ids: ArrayLike<number>): Pattern => sameId(ids, (id) => id !== 0);

function sameId(ids: ArrayLike<number>, counts: (id: number) => boolean): Pattern {
  const { least, most } = extremes(ids, counts);
  const has = (id: number | undefined): id is number => id !== undefined && counts(id);
  const counted = runs(ids, counts);
  const all = (from: number, to: number) => from >= 0 && to <= ids.length && least(from, to) === most(from, to) && counted(from) >= to;
  return {
    nameOf: (q0, q1, k0, k1) => renumbered(ids, [q0, q1, k0, k1], has),
    times: (query, key) => Number(has(ids[query]) && ids[query] === ids[key]),
    block(q0, q1, k0, k1) {
      const [low, high] = [Math.max(least(q0, q1), least(k0, k1)), Math.min(most(q0, q1), most(k0, k1))];
      if (low > high) return 0;
      return all(q0, q1) && all(k0, k1) ? 1 : undefined;
    },
  };
}

/** The ids of some queries and keys as runs, numbered by appearance. */
function renumbered(ids: ArrayLike<number>, [q0, q1, k0, k1]: readonly number[], has: (id: number | undefined) => boolean): string {
  const numbers = new Map<number, number>();
  let name = "";
  for (const [from, to] of [
    [q0!, q1!],
    [k0!, k1!],
  ] as const) {
    let start = from;
    for (let i = from; i <= to; i++) {
      if (i < to && ids[i] === ids[start]) continue;
      const id = ids[start];
      const known = has(id) ? (numbers.get(id!) ?? numbers.size) : -1;
      if (known >= 0) numbers.set(id!, known);
      name += `${i - start}:${known} `;
      start = i;
    }
  }
  return name;
}

/** For each position, where the run of counted ids that holds it ends; the position itself where it does not count. */
function runs(ids: ArrayLike<number>, counts: (id: number) => boolean): (from: number) => number {
  const ends = new Int32Array(ids.length + 1);
  ends[ids.length] = ids.length;
  for (let i = ids.length - 1; i >= 0; i--)
    ends[i] = !counts(ids[i]!) ? i : i + 1 < ids.length && counts(ids[i + 1]!) ? ends[i + 1]! : i + 1;
  return (from) => ends[from]!;
}

/** The least and the most counted id of any range, from tables of the ranges of 1, 2, 4, ... positions. */
function extremes(ids: ArrayLike<number>, counts: (id: number) => boolean) {
  const least = levels(ids, counts, Math.min, Number.POSITIVE_INFINITY);
  const most = levels(ids, counts, Math.max, Number.NEGATIVE_INFINITY);
  return { least, most };
}

type Join = (a: number, b: number) => number;

function levels(ids: ArrayLike<number>, counts: (id: number) => boolean, join: Join, nothing: number) {
  const first = new Float64Array(ids.length);
  for (let i = 0; i < first.length; i++) first[i] = counts(ids[i]!) ? ids[i]! : nothing;
  const table = [first];
  for (let width = 1; 2 * width <= first.length; width *= 2) {
    const before = table.at(-1)!;
    const next = new Float64Array(first.length - 2 * width + 1);
    for (let i = 0; i < next.length; i++) next[i] = join(before[i]!, before[i + width]!);
    table.push(next);
  }
  return (from: number, to: number): number => {
    const [start, end] = [Math.max(0, from), Math.min(to, first.length)];
    if (start >= end) return nothing;
    const power = 31 - Math.clz32(end - start);
    return join(table[power]![start]!, table[power]![end - 2 ** power]!);
  };
}
