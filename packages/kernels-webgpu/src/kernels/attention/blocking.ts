/** Rows of a workgroup: queries, or keys for their gradients. */
export const blockSize = 64;

/** Vectors of a row that an invocation sums up for each of its rows, at most: wider rows are cut into slabs of about one size, each with workgroups of its own. */
const mostSummed = 16;

export const slabsOf = (vectors: number): number => Math.max(1, Math.ceil(vectors / mostSummed));
/** Vectors of a slab, where there are so many slabs. */
export const slabOf = (vectors: number, slabs: number): number => Math.max(1, Math.ceil(vectors / slabs));
