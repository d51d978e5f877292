/**
 * Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011): the same stream on every device, whatever the tiling.
 * A draw is a function of the key (seed), the step, the ordinal of the draw within the step, and the element:
 * element i of draw n takes word i mod 4 of philox(counter = [floor(i / 4), n, stepLow, stepHigh], key = [seedLow, seedHigh]).
 */
export function philox(counter: readonly [number, number, number, number], key0: number, key1: number): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(c0, 0xd251, 0x1f53);
    const high1 = multiplyHigh(c2, 0xcd9e, 0x8d57);
    const [low0, low1] = [Math.imul(c0, 0xd2511f53), Math.imul(c2, 0xcd9e8d57)];
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0 >>> 0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The high word of the product of two 32-bit numbers, the second given in halves. */
function multiplyHigh(a: number, bHigh: number, bLow: number): number {
  const [aLow, aHigh] = [a & 0xffff, a >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + (cross >>> 16)) >>> 0;
}

/** The 32 random bits of element `index` of draw `ordinal` under `key` (seed low, seed high, step low, step high). */
export function randomBits(key: ArrayLike<number>, ordinal: number, index: number): number {
  return philox([Math.floor(index / 4) >>> 0, ordinal >>> 0, key[2]!, key[3]!], key[0]!, key[1]!)[index & 3]!;
}

/** `randomBits` of elements 0 ... count - 1, a block of four at a time. */
export function randomWords(key: ArrayLike<number>, ordinal: number, count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i += 4) {
    const block = philox([Math.floor(i / 4) >>> 0, ordinal >>> 0, key[2]!, key[3]!], key[0]!, key[1]!);
    for (let j = 0; j < 4 && i + j < count; j++) words[i + j] = block[j]!;
  }
  return words;
}

/** Bits to [0, 1): the upper 24 bits, exact in f32. */
export const uniformFromBits = (bits: number): number => (bits >>> 8) * 2 ** -24;
