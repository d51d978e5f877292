import { Cell, type Device } from "@x/tensor";
import type { RopeFrequencies } from "./rope-frequencies.ts";

/** cos and sin [positions, pairs] of every position's angles. */
export interface RotaryTables {
  readonly cos: Cell;
  readonly sin: Cell;
}

/** cos and sin of the first `rows` positions, times the attention factor and `scale`, row-major; in f64 up to the last. */
export function rowsOf(
  { frequencies, attentionFactor }: RopeFrequencies,
  rows: number,
  scale: (position: number, pair: number) => number = () => 1,
) {
  const pairs = frequencies.length;
  const [cosines, sines] = [new Float32Array(rows * pairs), new Float32Array(rows * pairs)];
  for (let at = 0, position = 0; position < rows; position++)
    for (let i = 0; i < pairs; i++, at++) {
      const angle = position * frequencies[i]!;
      const size = attentionFactor * scale(position, i);
      cosines[at] = Math.cos(angle) * size;
      sines[at] = Math.sin(angle) * size;
    }
  return { cosines, sines };
}

export function tablesOf(columns: RopeFrequencies, rows: number, device?: Device, scale?: Parameters<typeof rowsOf>[2]): RotaryTables {
  const { cosines, sines } = rowsOf(columns, rows, scale);
  const shape = [rows, columns.frequencies.length];
  return { cos: new Cell({ shape, device, data: cosines }), sin: new Cell({ shape, device, data: sines }) };
}
