import type { Tensor } from "@x/tensor";
import type { LongformerAttention } from "../src/index.ts";
import { dense, projected, type Sight } from "./dense.ts";

export interface Tokens {
  readonly globals?: readonly (readonly number[])[];
  readonly present?: (entry: number, i: number) => boolean;
  /** What a query sees but for what is global; the window of the layer if absent. */
  readonly local?: Sight;
}

/** Longformer by full matrices: both attentions over everything, and of each row the one that counts. */
export function denseLongformer(layer: LongformerAttention, x: Tensor, { globals = [], present = () => true, local }: Tokens = {}): Tensor {
  const isGlobal = (entry: number, i: number) => (globals[entry] ?? []).includes(i) && present(entry, i);
  const past = (i: number, j: number) => !layer.causal || j <= i;
  const near: Sight = (i, j, _, head) => {
    const steps = layer.dilation[head] ?? layer.dilation[0]!;
    return Number(Math.abs(i - j) <= layer.reach * steps && (i - j) % steps === 0);
  };
  const there = (entry: number, i: number, j: number) => past(i, j) && present(entry, i) && present(entry, j);
  const { query: q, key: k, value: v } = layer;
  const { queryGlobal = q, keyGlobal = k, valueGlobal = v } = layer;
  const locally = dense(projected(x, { q, k, v }), layer.numHeads, (i, j, entry, head) =>
    there(entry, i, j) && !isGlobal(entry, i) && (isGlobal(entry, j) || (local ?? near)(i, j, entry, head)) ? 1 : 0,
  );
  const globally = dense(projected(x, { q: queryGlobal, k: keyGlobal, v: valueGlobal }), layer.numHeads, (i, j, entry) =>
    Number(isGlobal(entry, i) && there(entry, i, j)),
  );
  return layer.output.forward(locally.add(globally));
}

type Rows = readonly (readonly number[])[];

/** Scores of a window of w on either side by overlapping chunks: [length][2 w + 1], column w a query itself; -Infinity where no key is. length is a multiple of 2 w. */
export function chunkedScores(q: Rows, k: Rows, w: number): number[][] {
  const length = q.length;
  const band = Array.from({ length }, () => new Array<number>(2 * w + 1).fill(Number.NEGATIVE_INFINITY));
  const chunks = length / w - 1;
  for (let t = 0; t < chunks; t++) {
    // The chunk's scores [2 w, 2 w], rows padded by one and read as rows of 2 w + 1: diagonals become columns.
    const scores = Array.from({ length: 2 * w }, (_, r) => Array.from({ length: 2 * w }, (_, c) => dot(q[t * w + r]!, k[t * w + c]!)));
    const padded = [...scores, new Array<number>(2 * w).fill(Number.NaN)].flat();
    const skewed = Array.from({ length: 2 * w }, (_, r) => padded.slice(r * (2 * w + 1), (r + 1) * (2 * w + 1)));
    // Row r of the skewed holds the future of query r from column r on in the first half, and the past of query r + 1 before it.
    for (let r = 0; r < w; r++) for (let d = 0; d <= w; d++) band[t * w + r]![w + d] = scores[r]![r + d]!;
    for (let r = w; r < 2 * w; r++) for (let d = 1; d <= w; d++) band[t * w + r]![w - d] = pastOf(skewed, r, d, w);
    if (t === 0) for (let r = 0; r < w; r++) for (let d = 1; d <= r; d++) band[r]![w - d] = scores[r]![r - d]!;
    if (t === chunks - 1) for (let r = w; r < 2 * w; r++) for (let d = 0; r + d < 2 * w; d++) band[t * w + r]![w + d] = scores[r]![r + d]!;
  }
  return band;
}

/** Key r - d of query r: element (2 w) r + r - d of the flat scores, found in the skewed rows. */
function pastOf(skewed: Rows, r: number, d: number, w: number): number {
  const flat = 2 * w * r + r - d;
  return skewed[Math.floor(flat / (2 * w + 1))]![flat % (2 * w + 1)]!;
}

/** Sums of values by weights [length][2 w + 1]: chunks of w queries over the 3 w keys around them, in a sequence padded by w on both sides. */
export function chunkedSums(weights: Rows, v: Rows, w: number): number[][] {
  const dim = v[0]!.length;
  const none = Array.from({ length: w }, () => new Array<number>(dim).fill(0));
  const padded = [...none, ...v, ...none];
  return weights.map((row, i) => {
    const [chunk, x] = [Math.floor(i / w), i % w];
    // Unskewed: column y of the chunk's 3 w keys is band column y - x.
    return Array.from({ length: dim }, (_, at) => {
      let sum = 0;
      for (let y = x; y <= x + 2 * w; y++) sum += row[y - x]! * padded[chunk * w + y]![at]!;
      return sum;
    });
  });
}

export const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
