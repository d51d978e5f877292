import { type BoundStep, type Driver, type DType, type Executable, OutOfMemoryError, tensorInterface } from "@x/tensor";
import type { Runtime } from "../runtime.ts";
import { Code, type Resolved } from "./code.ts";
import { type Bindings, kernelWords, moduleWords, programWords, wordCount } from "./encode.ts";
import type { WasmLaunch } from "./launch.ts";
import { literalBuffer } from "./literals.ts";
import { driverName } from "./name.ts";

const served: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"];

/** The memory and launches of a runtime as the tensor package wants them. A storage is an address; every launch is done when it returns. */
export class WasmDriver implements Driver {
  readonly name = driverName;
  readonly interface = tensorInterface;
  readonly dtypes = served;
  /** Kernels read elements wherever they lie, so that no view is copied for its place. */
  readonly alignment = 1;
  readonly caps: Driver["caps"];
  readonly #runtime: Runtime;
  readonly #code: Code;
  /** Where the argument words of a launch that is run once stand. */
  #words: { readonly address: number; readonly bytes: number };

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    this.#code = new Code(runtime);
    this.#words = { address: this.allocate(1024) as number, bytes: 1024 };
    this.caps = { threads: runtime.threads.count, fma: runtime.build === "fma", shared: runtime.heap.shared };
  }

  allocate(bytes: number): unknown {
    try {
      return this.#runtime.heap.allocate(bytes, "a tensor");
    } catch (cause) {
      if (!(cause instanceof Error) || cause.name !== "OutOfMemoryError") throw cause;
      throw new OutOfMemoryError(cause.message.replace(/^heap: /, "device wasm: "), { cause });
    }
  }

  release(storage: unknown): void {
    this.#runtime.heap.free(storage as number);
  }

  write(storage: unknown, offset: number, bytes: Uint8Array): void {
    this.#runtime.heap.write((storage as number) + offset, bytes);
  }

  async read(storage: unknown, offset: number, bytes: number): Promise<Uint8Array> {
    return this.#runtime.heap.read((storage as number) + offset, bytes);
  }

  run({ launches, bindings }: BoundStep): void {
    const { heap, threads } = this.#runtime;
    for (const launch of launches as readonly WasmLaunch[]) {
      const resolved = this.#code.resolve(launch);
      const at = this.#room(bytesOf(resolved));
      heap.write(at, wordsAt(resolved, bindings, at));
      threads.parallelFor(resolved.index, at, launch.units, launch.grain);
    }
  }

  /** Argument words are written once, side by side; running is a loop over four lists of numbers. */
  build(steps: readonly BoundStep[]): Executable {
    const { heap, threads } = this.#runtime;
    const all = steps.flatMap(({ launches, bindings }) =>
      (launches as readonly WasmLaunch[])
        .filter(({ units }) => units > 0)
        .map((launch) => ({ resolved: this.#code.resolve(launch), bindings })),
    );
    const block = this.allocate(all.reduce((bytes, { resolved }) => bytes + bytesOf(resolved), 4)) as number;
    const [kernels, units, grains] = [0, 1, 2].map(() => new Uint32Array(all.length)) as [Uint32Array, Uint32Array, Uint32Array];
    const addresses = new Float64Array(all.length);
    let address = block;
    for (const [i, { resolved, bindings }] of all.entries()) {
      heap.write(address, wordsAt(resolved, bindings, address));
      [kernels[i], units[i], grains[i], addresses[i]] = [resolved.index, resolved.launch.units, resolved.launch.grain, address];
      address += bytesOf(resolved);
    }
    return {
      run() {
        for (let i = 0; i < kernels.length; i++) threads.parallelFor(kernels[i]!, addresses[i]!, units[i]!, grains[i]!);
      },
      release: () => heap.free(block),
    };
  }

  async settled(): Promise<void> {}

  close(): void {
    this.#runtime.close();
  }

  /** The address of room for the words of one launch. */
  #room(bytes: number): number {
    if (bytes > this.#words.bytes) {
      this.release(this.#words.address);
      this.#words = { address: this.allocate(bytes) as number, bytes };
    }
    return this.#words.address;
  }
}

/** Bytes of a launch's argument words and of the literals that follow them. */
const bytesOf = ({ launch, literals }: Resolved): number => 4 * (wordCount(launch) + (literals?.length ?? 0));

/** The argument words of a launch that will stand at `address`, and its literals. */
function wordsAt({ launch, literals }: Resolved, bindings: Bindings, address: number): Int32Array<ArrayBuffer> {
  if ("kernel" in launch) return kernelWords(launch, bindings);
  if (!("program" in launch)) return moduleWords(launch, bindings);
  if (!literals) return programWords(launch, bindings);
  const behind = { storage: address, offset: 4 * wordCount(launch), bytes: literals.byteLength };
  return Int32Array.from([...programWords(launch, { ...bindings, [literalBuffer]: behind }), ...literals]);
}
