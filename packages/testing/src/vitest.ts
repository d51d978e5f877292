import type { Tensor, Tolerance } from "@x/tensor";
import type {} from "vitest";
import type { Numbers } from "./matchers.ts";

export { tensorMatchers } from "./matchers.ts";

// What the matchers are to vitest's types.
declare module "vitest" {
  interface Matchers<T> {
    /** Equal shapes, and every element within atol + rtol * |expected|. Await it. */
    toBeCloseToTensor(expected: Tensor | Numbers, tolerance?: Partial<Tolerance>): Promise<T>;
  }
}
