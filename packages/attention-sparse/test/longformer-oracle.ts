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
  const locally = dense(
    projected(x, { q, k, v }),
    layer.numHeads,
    (i, j, entry, head) =>
      there(entry, i, j) && !isGlobal(entry, i) && (isGlobal(entry, j) || (local ?? near)(i, j, entry, head)) ? 1 : 0,
    layer.scale,
  );
  const globally = dense(
    projected(x, { q: queryGlobal, k: keyGlobal, v: valueGlobal }),
    layer.numHeads,
    (i, j, entry) => Number(isGlobal(entry, i) && there(entry, i, j)),
    layer.scale,
  );
  return layer.output.forward(locally.add(globally));
}

type Rows = readonly (readonly number[])[];

/**
 * Scores of a window of w on either side by overlapping chunks of 2 w with stride w: [length][2 w + 1], column w a query itself, -Infinity where no key is. Row x and column y of chunk t are query t w + x and key
 * t w + y, in column y - x + w of the band: most queries have their past from one chunk and their future from the next. length is a multiple of 2 w.
 */
export function chunkedScores(q: Rows, k: Rows, w: number): number[][] {
  const band = q.map(() => new Array<number>(2 * w + 1).fill(Number.NEGATIVE_INFINITY));
  for (let t = 0; t < q.length / w - 1; t++)
    for (let x = 0; x < 2 * w; x++)
      for (let y = 0; y < 2 * w; y++) {
        const column = y - x + w;
        if (column >= 0 && column <= 2 * w) band[t * w + x]![column] = dot(q[t * w + x]!, k[t * w + y]!);
      }
  return band;
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
