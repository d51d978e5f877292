/**
 * Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011): the same stream on every device, whatever the tiling.
 * A draw is a function of the key (seed), the step, the ordinal of the draw within the step, and the element:
 * element i of draw n takes word i mod 4 of philox(counter = [floor(i / 4), n, stepLow, stepHigh], key = [seedLow, seedHigh]).
 */
export function philox(counter: readonly [number, number, number, number], key0: number, key1: number): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply(c0, 0xd2511f53);
    const [high1, low1] = multiply(c2, 0xcd9e8d57);
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The high and low words of a 32 x 32 bit product. */
function multiply(a: number, b: number): [number, number] {
  const aLow = a & 0xffff,
    aHigh = a >>> 16,
    bLow = b & 0xffff,
    bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  const high = aHigh * bHigh + Math.floor(middle / 0x10000) + (cross >>> 16);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

/** The 32 random bits of element `index` of draw `ordinal` under `key` (seed low, seed high, step low, step high). */
export function randomBits(key: ArrayLike<number>, ordinal: number, index: number): number {
  return philox([Math.floor(index / 4) >>> 0, ordinal >>> 0, key[2]!, key[3]!], key[0]!, key[1]!)[index & 3]!;
}

/** Bits to [0, 1): the upper 24 bits, exact in f32. */
export const uniformFromBits = (bits: number): number => (bits >>> 8) * 2 ** -24;
