export { collapse, type Iteration, type LeafAccess } from "@x/tensor";

/** The most dimensions that a loop walks. */
export const maximumRank = 6;
