export { abi, activations, args, elementary, type KernelArgs, type KernelName, reductions, wordsOf } from "./abi.ts";
export { Heap, type HeapFigures, type HeapOptions } from "./heap.ts";
export type { Build } from "./kernels.ts";
export { Runtime, type RuntimeOptions } from "./runtime.ts";
export { type ThreadOptions, Threads } from "./threads.ts";
