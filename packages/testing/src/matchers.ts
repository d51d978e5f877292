import { type Shape, show, Tensor, type Tolerance } from "@x/tensor";
import { compareArrays } from "./compare.ts";

/** What a matcher answers to its runner. */
export interface MatcherResult {
  readonly pass: boolean;
  message(): string;
}
/** Numbers, or lists of lists of them. */
export type Numbers = number | ArrayLike<number> | readonly Numbers[];

interface Values {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
}

async function valuesOf(value: Tensor | Numbers): Promise<Values> {
  if (Tensor.isTensor(value)) return { shape: value.shape, data: await value.data() };
  if (typeof value === "number") return { shape: [], data: [value] };
  if (!Array.isArray(value)) return { shape: [(value as ArrayLike<number>).length], data: value as ArrayLike<number> };
  const items = await Promise.all((value as readonly Numbers[]).map(valuesOf));
  const inner = items[0]?.shape ?? [];
  if (items.some(({ shape }) => String(shape) !== String(inner)))
    throw new Error("toBeCloseToTensor: the expected nested array is ragged.");
  return { shape: [items.length, ...inner], data: items.flatMap(({ data }) => Array.from(data)) };
}

/**
 * `expect.extend(tensorMatchers)`, then `await expect(tensor).toBeCloseToTensor(other, { atol, rtol })`: shapes are equal and every element agrees to
 * atol + rtol * |expected|. A failure prints the worst element, where it is, and how errors are distributed.
 */
export const tensorMatchers = {
  async toBeCloseToTensor(
    received: Tensor | Numbers,
    expected: Tensor | Numbers,
    { atol = 1e-6, rtol = 1e-5 }: Partial<Tolerance> = {},
  ): Promise<MatcherResult> {
    const [a, b] = await Promise.all([valuesOf(received), valuesOf(expected)]);
    if (String(a.shape) !== String(b.shape))
      return { pass: false, message: () => `received shape ${show(a.shape)}, expected ${show(b.shape)}` };
    const comparison = compareArrays(a.data, b.data, { atol, rtol, shape: b.shape });
    const close = `all ${comparison.size} elements agree to ${atol} + ${rtol} |expected|, expected some to differ`;
    return { pass: comparison.pass, message: () => (comparison.pass ? close : comparison.report()) };
  },
};
