import { fft } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import { ceilDiv, product } from "./work.ts";

/** Factors of a length, fours first: they take the fewest passes for the work. */
export function radicesOf(n: number): number[] {
  const radices: number[] = [];
  for (const radix of [4, 2]) for (; n % radix === 0; n /= radix) radices.push(radix);
  for (let prime = 3; n > 1; prime += 2) {
    if (prime * prime > n) prime = n;
    for (; n % prime === 0; n /= prime) radices.push(prime);
  }
  return radices;
}

const chunk = 1024;

export const fftKernel = wasmKernel(fft, {
  plan(p, { specs: { re }, attrs: { inverse } }) {
    const [rows, n] = [product(re.shape.slice(0, -1)), re.shape.at(-1)!];
    if (rows * n === 0) return;
    const [cos, sin, scratch] = [p.scratch(4 * n), p.scratch(4 * n), p.scratch(8 * n * rows)];
    p.run("fft_tables", { cos, sin, n, chunk }, ceilDiv(n, chunk), 32 * chunk);
    const places = { outRe: p.output("re"), outIm: p.output("im"), re: p.input("re"), im: p.input("im"), cos, sin, scratch };
    const radices = radicesOf(n);
    const cost = n * radices.reduce((sum, radix) => sum + 2 * radix, 4);
    p.run("fft", { ...places, n, inverse: inverse ? 1 : 0, radices }, rows, cost);
  },
});
