/**
 * How a leaf is read along the innermost dimension: elements side by side, one element for all, or at a distance.
 * A "key" is the four words of a random generator, the same for all elements.
 */
export type LeafAccess = "contiguous" | "broadcast" | "strided" | "key";

export interface Iteration {
  /** At least one, none of them 1 unless it is the only one. */
  readonly extents: readonly number[];
  /** Of each leaf, in elements, along `extents`; zeros for keys. */
  readonly strides: readonly (readonly number[])[];
  readonly access: readonly LeafAccess[];
}

/**
 * The iteration over `shape` with as few dimensions as the leaves allow: those of size 1 go, neighbours merge where every leaf steps
 * over both as over one. Outputs are contiguous and follow. `leafStrides` are in elements, 0 where a leaf is broadcast; a key has none.
 */
export function collapse(shape: readonly number[], leafStrides: readonly (readonly number[] | undefined)[]): Iteration {
  const extents: number[] = [];
  const strides: number[][] = leafStrides.map(() => []);
  for (const [axis, extent] of shape.entries()) {
    if (extent === 1) continue;
    const steps = leafStrides.map((list) => list?.[axis] ?? 0);
    const merges = extents.length > 0 && steps.every((step, leaf) => strides[leaf]!.at(-1) === step * extent);
    if (merges) {
      extents.push(extents.pop()! * extent);
      for (const [leaf, step] of steps.entries()) strides[leaf]!.splice(-1, 1, step);
    } else {
      extents.push(extent);
      for (const [leaf, step] of steps.entries()) strides[leaf]!.push(step);
    }
  }
  if (extents.length === 0) {
    extents.push(1);
    for (const list of strides) list.push(0);
  }
  const access = leafStrides.map((list, leaf) => (list === undefined ? "key" : accessOf(strides[leaf]!.at(-1)!)));
  return { extents, strides, access };
}

const accessOf = (stride: number): LeafAccess => (stride === 1 ? "contiguous" : stride === 0 ? "broadcast" : "strided");
