import { ShapeError } from "@x/tensor";

/** Refuses more positions than a table holds: kernels clamp, so the last row would serve them all. */
export function checkLength(who: string, length: number, maxLength: number): void {
  if (length > maxLength)
    throw new ShapeError(
      `${who}: ${length} positions, but the table has ${maxLength}. Shorten the input, or make the layer with a larger maxLength.`,
    );
}
