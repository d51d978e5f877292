/** How a product is cut. */
export interface Tiling {
  /** Each invocation makes `blocks` x `blocks` squares of 4 x 4 results. */
  readonly blocks: 1 | 2;
  /** Operands pass through workgroup memory. */
  readonly shared: boolean;
  /** Parts of the summed extent, added afterwards. */
  readonly split: number;
}

/** Workgroups that keep a large GPU busy: beyond, splitting the sum only adds work. */
const enough = 256;
/** The shortest part of a sum that is worth a workgroup of its own. */
const shortest = 128;

/**
 * The tiling for a shape and a kind of adapter. On a processor that plays the GPU memory is cached and barriers are dear, so operands go straight to registers. A GPU wants them shared, in squares of
 * 64 (32 where there are too few of those), and long sums with few results split.
 */
export function tilingFor(m: number, n: number, k: number, batches: number, software: boolean): Tiling {
  if (software) return { blocks: 1, shared: false, split: 1 };
  const squares = (side: number) => batches * Math.ceil(m / side) * Math.ceil(n / side);
  const blocks = squares(64) >= enough / 4 ? 2 : 1;
  const groups = squares(32 * blocks);
  const split = Math.max(1, Math.min(Math.floor(enough / groups), Math.floor(k / shortest), 16));
  return { blocks, shared: true, split };
}
