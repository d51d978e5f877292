/** Elementary operations that make it worth waking a thread: some ten microseconds of work. */
const worthwhile = 32_768;

/** How many units of `cost` elementary operations each a thread takes at once. */
export const grainFor = (cost: number): number => Math.max(1, Math.ceil(worthwhile / Math.max(1, cost)));

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);
export const product = (extents: readonly number[]): number => extents.reduce((size, extent) => size * extent, 1);
