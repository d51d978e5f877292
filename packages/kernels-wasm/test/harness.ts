import { expect } from "vitest";
import type { KernelArgs, KernelName } from "../src/abi.ts";
import { Runtime, type RuntimeOptions } from "../src/runtime.ts";

/** Words around each buffer that hold NaN before a kernel runs and must hold the same bits after it. */
const GUARD = 16;
const POISON = 0x7fc12345;

/** A small seeded generator of values in [-1, 1). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 31 - 1;
  };
}

export function values(length: number, seed: number, scale = 1): Float32Array {
  const next = randomOf(seed * 2654435761 + 1);
  for (let i = 0; i < 8; i++) next();
  return Float32Array.from({ length }, () => next() * scale);
}

/** A runtime whose buffers lie between poisoned words, on one or two threads. */
export class Bench {
  readonly runtime: Runtime;
  readonly #buffers: { address: number; words: number }[] = [];

  constructor(options: RuntimeOptions = { threads: 1 }) {
    this.runtime = new Runtime(options);
  }

  /** The address of a buffer that holds `data`. */
  put(data: Float32Array | Int32Array | Uint8Array): number {
    const words = Math.ceil(data.byteLength / 4);
    const base = this.runtime.heap.allocate(4 * (words + 2 * GUARD));
    this.runtime.heap.i32(base, words + 2 * GUARD).fill(POISON);
    const address = base + 4 * GUARD;
    this.runtime.heap.write(address, data);
    this.#buffers.push({ address, words });
    return address;
  }
  /** The address of a buffer of `length` poisoned words. */
  out(length: number): number {
    return this.put(new Int32Array(length).fill(POISON));
  }
  f32(address: number, length: number): Float32Array {
    return new Float32Array(this.runtime.heap.read(address, 4 * length).buffer);
  }
  i32(address: number, length: number): Int32Array {
    return new Int32Array(this.runtime.heap.read(address, 4 * length).buffer);
  }
  run<K extends KernelName>(kernel: K, values: KernelArgs<K>, units: number): void {
    this.runtime.run(kernel, values, units);
    for (const { address, words } of this.#buffers) {
      for (const from of [address - 4 * GUARD, address + 4 * words]) {
        const guard = this.runtime.heap.i32(from, GUARD);
        if (guard.some((word) => word !== POISON)) throw new Error(`${kernel} wrote outside of a buffer of ${words} words`);
      }
    }
  }
  close(): void {
    this.runtime.close();
  }
}

/** Every element within `tolerance` times the largest expected one (or `scale`, if larger); infinities and NaN as they are. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 2e-6, what = "", scale = 1e-30): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) if (Number.isFinite(expected[i])) scale = Math.max(scale, Math.abs(expected[i]!));
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Object.is(a, e) || a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    if (!(Math.abs(a - e) <= tolerance * scale)) throw new Error(`${what} element ${i}: got ${a}, expected ${e} (scale ${scale})`);
  }
}
