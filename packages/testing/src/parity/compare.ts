import { type Shape, show, sizeOf } from "@x/tensor";
import { type Comparison, compareArrays } from "../compare.ts";
import type { ParityOutput } from "./format.ts";

/** Compares a value with what the reference gave, where the mask says so. A wrong shape throws. */
export function compareOutput(
  { shape, data }: { readonly shape: Shape; readonly data: ArrayLike<number> },
  { name, expected, where, atol, rtol }: ParityOutput,
): Comparison {
  if (show(shape) !== show(expected.shape))
    throw new Error(`${name}: has shape ${show(shape)}, the reference gave ${show(expected.shape)}.`);
  // The mask's axes are the leading ones of the value.
  const inner = where ? sizeOf(expected.shape.slice(where.shape.length)) : 1;
  const compared = where && ((position: number) => where.data[Math.floor(position / inner)] === 1);
  return compareArrays(data, expected.data, { atol, rtol, shape, ...(compared && { where: compared }) });
}

/** Whether generated sequences are the reference's, and at which row and token they first part. */
export function compareSequences(
  made: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
): { readonly pass: boolean; readonly report: string } {
  for (const [row, tokens] of expected.entries()) {
    const got = made[row];
    if (!got) return { pass: false, report: `${made.length} rows, expected ${expected.length}` };
    const at = Array.from({ length: Math.max(tokens.length, got.length) }, (_, i) => i).find((i) => tokens[i] !== got[i]);
    if (at !== undefined)
      return { pass: false, report: `row ${row}, token ${at}: got ${got[at] ?? "the end"}, expected ${tokens[at] ?? "the end"}` };
  }
  if (made.length !== expected.length) return { pass: false, report: `${made.length} rows, expected ${expected.length}` };
  return { pass: true, report: `${expected.length} rows equal` };
}
