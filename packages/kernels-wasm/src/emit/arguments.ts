import { dtypes, type Program } from "@x/tensor";
import type { Iteration } from "./collapse.ts";

/** Indices of the 32-bit words that `args` points at: addresses of leaves and outputs, extents, then the strides of each leaf in bytes. */
export interface ArgumentLayout {
  readonly words: number;
  leaf(leaf: number): number;
  output(output: number): number;
  extent(axis: number): number;
  stride(leaf: number, axis: number): number;
}

export function layoutOf(program: Program, rank: number): ArgumentLayout {
  const leaves = program.leaves.length;
  const extents = leaves + program.outputs.length;
  const strides = extents + rank;
  return {
    words: strides + leaves * rank,
    leaf: (leaf) => leaf,
    output: (output) => leaves + output,
    extent: (axis) => extents + axis,
    stride: (leaf, axis) => strides + leaf * rank + axis,
  };
}

/** The words of a call. Addresses are in bytes: of each leaf's first element, and of each output. */
export function packArguments(
  program: Program,
  iteration: Iteration,
  addresses: { readonly leaves: readonly number[]; readonly outputs: readonly number[] },
): Uint32Array<ArrayBuffer> {
  const layout = layoutOf(program, iteration.extents.length);
  const words = new Uint32Array(layout.words);
  for (const [leaf, address] of addresses.leaves.entries()) words[layout.leaf(leaf)] = address;
  for (const [output, address] of addresses.outputs.entries()) words[layout.output(output)] = address;
  for (const [axis, extent] of iteration.extents.entries()) words[layout.extent(axis)] = extent;
  for (const [leaf, strides] of iteration.strides.entries()) {
    const { bytes } = dtypes[program.leaves[leaf]!];
    for (const [axis, stride] of strides.entries()) words[layout.stride(leaf, axis)] = stride * bytes;
  }
  return words;
}
