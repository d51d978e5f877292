import { type Shape, TensorError } from "@x/tensor";

/** How weights are written down: codes of 8 bits, or of 4, two to a byte; `group` neighbours along the inputs share a scale and a zero point. */
export interface Quantization {
  readonly bits: 4 | 8;
  readonly group: 32 | 64 | 128;
}

/** The shapes in which a weight [outputs, inputs] is written down. Rows are filled up to whole groups, so that each row, and each group, begins with a word. */
export function quantizedShapes(
  { outputs, inputs }: { readonly outputs: number; readonly inputs: number },
  { bits, group }: Quantization,
  who = "quantizedShapes",
): Readonly<Record<"weight" | "scales" | "zeros", Shape>> {
  if (bits !== 4 && bits !== 8) throw new TensorError(`${who}: bits must be 4 or 8, got ${bits}.`);
  if (group !== 32 && group !== 64 && group !== 128) throw new TensorError(`${who}: group must be 32, 64 or 128, got ${group}.`);
  const groups = Math.ceil(inputs / group);
  return { weight: [outputs, (groups * group * bits) / 8], scales: [outputs, groups], zeros: [outputs, groups] };
}
