import { TensorError } from "@x/tensor";

/** How weights are written down: codes of 8 bits, or of 4, two to a byte; `group` neighbours along the inputs share a scale and a zero point. */
export interface Quantization {
  readonly bits: 4 | 8;
  readonly group: 32 | 64 | 128;
}

export function checkQuantization(who: string, { bits, group }: Quantization): void {
  if (bits !== 4 && bits !== 8) throw new TensorError(`${who}: bits must be 4 or 8, got ${bits}.`);
  if (group !== 32 && group !== 64 && group !== 128) throw new TensorError(`${who}: group must be 32, 64 or 128, got ${group}.`);
}

export const groupsOf = (inputs: number, { group }: Quantization): number => Math.ceil(inputs / group);

/** Bytes of one output's codes: whole groups, so that every row, and every group, begins with a word. */
export const rowBytesOf = (inputs: number, quantization: Quantization): number =>
  (groupsOf(inputs, quantization) * quantization.group * quantization.bits) / 8;
