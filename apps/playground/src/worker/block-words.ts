import type { Pattern } from "@x/ops";
import { type BlockWords, inPart } from "../protocol.ts";

/** Blocks on a side where nothing else says how many. */
const shownBlocks = 16;

/** Which blocks of positions see which others, for a text of this length. */
export function blockWords(pattern: Pattern, length: number, size = Math.ceil(length / shownBlocks)): BlockWords {
  const count = Math.ceil(length / size);
  const end = (block: number) => Math.min(length, (block + 1) * size);
  const times = Int16Array.from({ length: count * count }, (_, at) => {
    const [row, column] = [Math.floor(at / count), at % count];
    return timesOf(pattern, [row * size, end(row), column * size, end(column)]);
  });
  return { length, size, times };
}

/** A pattern need not know a block as a whole: then its pairs are asked. */
function timesOf(pattern: Pattern, [q0, q1, k0, k1]: [number, number, number, number]): number {
  const known = pattern.block(q0, q1, k0, k1);
  if (known !== undefined) return known;
  const first = pattern.times(q0, k0);
  for (let query = q0; query < q1; query++) for (let key = k0; key < k1; key++) if (pattern.times(query, key) !== first) return inPart;
  return first;
}
