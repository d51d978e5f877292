import { type BlockWords, inPart } from "../protocol.ts";

/** The map as a sentence. */
export function blockSummary({ length, size, times }: BlockWords): string {
  const seen = times.filter((each) => each !== 0).length;
  const part = times.filter((each) => each === inPart).length;
  const most = Math.max(0, ...times);
  const share = Math.round((seen / times.length) * 100);
  const details = [
    ...(part > 0 ? [`${part} of them in part`] : []),
    ...(most > 1 ? [`${times.filter((each) => each > 1).length} of them counted up to ${most} times`] : []),
  ];
  const positions = `${length} positions in blocks of ${size}`;
  return `${positions}: ${seen} of ${times.length} pairs of blocks are seen (${share}\u00a0%)${details.map((each) => `, ${each}`).join("")}.`;
}
