import type { AttentionWorkload } from "./workloads.ts";

type Sizes = Pick<AttentionWorkload, "heads" | "tokens" | "width">;

/** `[heads, tokens, width]` as `[tokens, heads, width]`. */
export const byToken = ({ heads, tokens, width }: Sizes, data: Float32Array): Float32Array => swapped(data, heads, tokens, width);

/** And back. */
export const byHead = ({ heads, tokens, width }: Sizes, data: Float32Array): Float32Array => swapped(data, tokens, heads, width);

function swapped(data: Float32Array, outer: number, inner: number, width: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < outer; i++)
    for (let j = 0; j < inner; j++) {
      const from = (i * inner + j) * width;
      out.set(data.subarray(from, from + width), (j * outer + i) * width);
    }
  return out;
}
