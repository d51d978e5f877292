import type { Graph, Value } from "./graph.ts";
import { shuffle } from "./wide.ts";

/** Key words in all lanes: seed low and high, step low and high. */
export type Key = readonly [Value, Value, Value, Value];

/** The four words of Philox4x32-10 for four counters at once: lane l has the blocks' counter `block[l]`. See random.ts of @x/tensor. */
export function philox(g: Graph, block: Value, ordinal: number, key: Key): [Value, Value, Value, Value] {
  let [c0, c1, c2, c3]: [Value, Value, Value, Value] = [block, g.i32(ordinal), key[2], key[3]];
  for (let round = 0; round < 10; round++) {
    const first = multiply(g, c0, 0xd2511f53);
    const second = multiply(g, c2, 0xcd9e8d57);
    const key0 = g.op("i32x4.add", key[0], g.i32(Math.imul(round, 0x9e3779b9)));
    const key1 = g.op("i32x4.add", key[1], g.i32(Math.imul(round, 0xbb67ae85)));
    c0 = g.op("v128.xor", g.op("v128.xor", second.high, c1), key0);
    c2 = g.op("v128.xor", g.op("v128.xor", first.high, c3), key1);
    c1 = second.low;
    c3 = first.low;
  }
  return [c0, c1, c2, c3];
}

function multiply(g: Graph, a: Value, factor: number): { low: Value; high: Value } {
  const m = g.i32(factor);
  const left = g.op("i64x2.extmul_low_i32x4_u", a, m);
  const right = g.op("i64x2.extmul_high_i32x4_u", a, m);
  return { low: shuffle(g, left, right, [0, 2, 4, 6]), high: shuffle(g, left, right, [1, 3, 5, 7]) };
}

/** Bits for any four elements: the block of each lane, and its word by the low bits of the position. */
export function randomLanes(g: Graph, position: Value, ordinal: number, key: Key): Value {
  const words = philox(g, g.shift("i32x4.shr_u", position, 2), ordinal, key);
  const word = g.op("v128.and", position, g.i32(3));
  return [1, 2, 3].reduce((bits, index) => g.select(g.op("i32x4.eq", word, g.i32(index)), words[index]!, bits), words[0]);
}

/** Bits for vector `index` of sixteen elements that begin at a multiple of four: four blocks, transposed. */
export function randomBlock(g: Graph, start: Value, index: number, ordinal: number, key: Key): Value {
  const blocks = g.op("i32x4.add", g.shift("i32x4.shr_u", start, 2), g.words([0, 1, 2, 3]));
  const [w0, w1, w2, w3] = philox(g, blocks, ordinal, key);
  const pair = (a: Value, b: Value): Value => shuffle(g, a, b, index < 2 ? [0, 4, 1, 5] : [2, 6, 3, 7]);
  const [left, right] = [pair(w0, w1), pair(w2, w3)];
  return shuffle(g, left, right, index % 2 === 0 ? [0, 1, 4, 5] : [2, 3, 6, 7]);
}
