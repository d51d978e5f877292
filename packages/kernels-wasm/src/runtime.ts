import { platform } from "#platform";
import { args as argumentWords, type KernelArgs, type KernelName } from "./abi.ts";
import { Heap, type HeapOptions } from "./heap.ts";
import { type Build, chooseBuild, kernelBytes } from "./kernels.ts";
import { type ThreadOptions, Threads } from "./threads.ts";

export interface RuntimeOptions extends ThreadOptions {
  readonly maximumBytes?: HeapOptions["maximumBytes"];
  /** Node 20 only: whether relaxed SIMD may be switched on, which holds for the whole process; default true. */
  readonly relaxedSimd?: boolean | undefined;
  /** Which build to run, instead of the best the host takes. */
  readonly build?: Build | undefined;
  /** Whether to share memory between threads; default: where the host can. */
  readonly shared?: boolean | undefined;
}

/** Memory, kernels and threads: everything below the tensor interface. */
export class Runtime {
  readonly heap: Heap;
  readonly threads: Threads;
  readonly build: Build;

  constructor(options: RuntimeOptions = {}) {
    this.build = options.build ?? chooseBuild(platform, options.relaxedSimd ?? true);
    const shared = options.shared ?? (options.threads !== 1 && platform.sharesMemory() === true);
    this.heap = new Heap({ shared, maximumBytes: options.maximumBytes });
    this.threads = new Threads(this.heap, kernelBytes(this.build), platform, options);
  }

  /** Runs a built-in kernel once, its arguments given by name. */
  run<K extends KernelName>(kernel: K, values: KernelArgs<K>, units: number, grain = 1): void {
    const words = argumentWords(kernel, values);
    const address = this.heap.allocate(words.byteLength, "argument words");
    try {
      this.heap.write(address, words);
      this.threads.parallelFor(this.threads.kernel(kernel), address, units, grain);
    } finally {
      this.heap.free(address);
    }
  }

  /** Ends the workers. Calling it again does nothing. */
  close(): void {
    this.threads.close();
  }
}
