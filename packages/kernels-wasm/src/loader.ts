import type { Heap } from "./heap.ts";
import { withSharedFlag } from "./module.ts";

/** Bytes of stack that each thread has: room for the tiles that kernels keep there. */
export const STACK_BYTES = 2 ** 20;

/** A kernel as the host sees it. */
export type Kernel = (begin: number, end: number, args: number) => void;

/** The kernels of one thread, numbered over all its modules in the order of their exports. */
export class Loader {
  readonly #heap: Heap;
  readonly #stackTop: number;
  readonly #kernels: Kernel[] = [];
  readonly #names = new Map<string, number>();
  readonly #stacks: WebAssembly.Global[] = [];

  constructor(heap: Heap, stack: number) {
    this.#heap = heap;
    this.#stackTop = stack + STACK_BYTES;
  }

  get count(): number {
    return this.#kernels.length;
  }

  /** The module's bytes with the memory flag that this heap needs. */
  patched(bytes: Uint8Array, who = "a kernel module"): Uint8Array<ArrayBuffer> {
    return withSharedFlag(bytes, this.#heap.shared, who);
  }

  /** Compiles a module and numbers its functions. Its names are found by `indexOf` unless taken. */
  add(bytes: Uint8Array, who: string): WebAssembly.Module {
    const module = new WebAssembly.Module(this.patched(bytes, who));
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#heap.memory } });
    for (const [name, value] of Object.entries(exports)) {
      if (typeof value === "function") {
        if (!this.#names.has(name)) this.#names.set(name, this.#kernels.length);
        this.#kernels.push(value as Kernel);
      } else if (name === "__stack_pointer") this.#stacks.push(value as WebAssembly.Global);
    }
    this.resetStack();
    return module;
  }

  indexOf(name: string): number {
    const index = this.#names.get(name);
    if (index === undefined) throw new Error(`no kernel is called "${name}"; the loaded ones are ${[...this.#names.keys()].join(", ")}`);
    return index;
  }

  kernel(index: number): Kernel {
    const kernel = this.#kernels[index];
    if (!kernel) throw new Error(`no kernel has number ${index}; there are ${this.#kernels.length}`);
    return kernel;
  }

  /** Puts every module's stack pointer at the top: at load, and after a trap, which leaves it where it was. */
  resetStack(): void {
    for (const stack of this.#stacks) stack.value = this.#stackTop | 0;
  }
}
