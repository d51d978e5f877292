import { control as at, CONTROL_ADDRESS, CONTROL_WORDS, ERROR_BYTES, type WorkerStart } from "./control.ts";
import type { Heap } from "./heap.ts";
import { type Kernel, Loader, STACK_BYTES } from "./loader.ts";
import type { Platform, WorkerHandle } from "./platform.ts";

export interface ThreadOptions {
  /** Threads that compute, main included; default: as many as the machine has. */
  readonly threads?: number | undefined;
  /** How long an idle worker spins before it sleeps, in microseconds; default 50. */
  readonly spinMicroseconds?: number | undefined;
  /** Browsers only: see SpawnOptions. */
  readonly workerUrl?: string | URL | undefined;
}

/** Kernels and the threads that run them. Main always works along, so a worker that never starts costs speed and nothing else. */
export class Threads {
  /** Threads that compute, main included. */
  readonly count: number;
  readonly #heap: Heap;
  readonly #loader: Loader;
  readonly #control: Int32Array<ArrayBufferLike>;
  readonly #mayWait = mayWait();
  #workers: WorkerHandle[] = [];
  #lastRecord = 0;
  #allocated: number[] = [];
  #failure: unknown;
  #closed = false;

  constructor(heap: Heap, module: Uint8Array, platform: Platform, { threads, spinMicroseconds = 50, workerUrl }: ThreadOptions = {}) {
    const wish = threads ?? platform.cores();
    if (!Number.isInteger(wish) || wish < 1) throw new RangeError(`threads is ${wish}; expected a whole number >= 1 (1: main alone)`);
    this.#heap = heap;
    this.#control = heap.i32(CONTROL_ADDRESS, CONTROL_WORDS);
    this.#loader = new Loader(heap, this.#stack());
    const compiled = this.#loader.add(module, "the built-in kernels");
    this.count = heap.shared ? wish : 1;
    const start: Omit<WorkerStart, "stackTop"> = {
      memory: heap.memory,
      module: compiled,
      address: CONTROL_ADDRESS,
      words: CONTROL_WORDS,
      layout: at,
      errorBytes: ERROR_BYTES,
      spinMicroseconds,
    };
    const onError = (error: unknown) => {
      this.#failure ??= error;
    };
    for (let i = 1; i < this.count; i++) {
      this.#workers.push(platform.spawn({ ...start, stackTop: this.#stack() + STACK_BYTES }, { onError, workerUrl }));
    }
  }

  /** How many workers have started, and why one did not, if so. */
  get started(): { readonly workers: number; readonly failure: unknown } {
    return { workers: this.count > 1 ? Atomics.load(this.#control, at.ready) : 0, failure: this.#failure };
  }

  /** The number of a built-in kernel. */
  kernel(name: string): number {
    return this.#loader.indexOf(name);
  }

  /** Adds a module, at any time; the number of its first function, the others follow in the order of its exports. */
  register(bytes: Uint8Array, who = "an emitted module"): number {
    const first = this.#loader.count;
    this.#loader.add(bytes, who);
    if (this.count > 1) this.#publish(bytes);
    return first;
  }

  /**
   * Runs units [0, units) of a kernel, whose argument words stand at `args`. Threads claim ranges of `grain` units; with one range or one
   * thread main runs them alone. Throws what a kernel threw, on whichever thread.
   */
  parallelFor(kernel: number, args: number, units: number, grain: number): void {
    if (units <= 0) return;
    const run = this.#loader.kernel(kernel);
    if (units <= grain || this.count === 1 || this.#closed) this.#alone(run, units, args);
    else this.#together(run, kernel, args, units, Math.max(1, grain));
  }

  #alone(run: Kernel, units: number, args: number): void {
    try {
      run(0, units, args);
    } catch (error) {
      this.#loader.resetStack();
      throw error;
    }
  }

  #together(run: Kernel, kernel: number, args: number, units: number, grain: number): void {
    const c = this.#control;
    c[at.kernel] = kernel;
    c[at.args] = args;
    c[at.units] = units;
    c[at.grain] = grain;
    Atomics.store(c, at.next, 0);
    Atomics.store(c, at.open, 1);
    Atomics.add(c, at.epoch, 1);
    if (Atomics.load(c, at.sleepers) > 0) Atomics.notify(c, at.epoch);
    let failure: { readonly error: unknown } | undefined;
    try {
      for (let begin = Atomics.add(c, at.next, grain); begin < units; begin = Atomics.add(c, at.next, grain)) {
        run(begin, Math.min(begin + grain, units), args);
      }
    } catch (error) {
      Atomics.store(c, at.next, units);
      this.#loader.resetStack();
      failure = { error };
    }
    Atomics.store(c, at.open, 0);
    this.#join();
    if (Atomics.load(c, at.errorLength) !== 0) failure = { error: this.#workerError(failure?.error) };
    if (failure) throw failure.error;
  }

  /** Waits for the workers that are inside the launch; one that has not begun finds it closed. */
  #join(): void {
    const c = this.#control;
    for (let i = 0; i < 20_000; i++) if (Atomics.load(c, at.active) === 0) return;
    Atomics.store(c, at.joining, 1);
    for (let active = Atomics.load(c, at.active); active !== 0; active = Atomics.load(c, at.active)) {
      if (this.#mayWait) Atomics.wait(c, at.active, active);
    }
    Atomics.store(c, at.joining, 0);
  }

  /** The error that a worker left, which is taken away; that of main, if there is one, as its cause. */
  #workerError(cause: unknown): Error {
    const length = Atomics.exchange(this.#control, at.errorLength, 0);
    const text = this.#heap.read(CONTROL_ADDRESS + 4 * at.errorText, length);
    return new Error(`a kernel failed in a worker: ${new TextDecoder().decode(text)}`, { cause });
  }

  /** Puts a module's bytes where the workers find them: a list of records [next, bytes, code]. */
  #publish(bytes: Uint8Array): void {
    const record = this.#heap.allocate(8 + bytes.length, "the code of an emitted kernel");
    this.#allocated.push(record);
    this.#heap.i32(record, 2).set([0, bytes.length]);
    this.#heap.write(record + 8, this.#loader.patched(bytes));
    const link = this.#lastRecord === 0 ? CONTROL_ADDRESS + 4 * at.modules : this.#lastRecord;
    Atomics.store(this.#heap.i32(link, 1), 0, record);
    this.#lastRecord = record;
  }

  #stack(): number {
    const address = this.#heap.allocate(STACK_BYTES, "a thread's stack");
    this.#allocated.push(address);
    return address;
  }

  /** Ends the workers. Kernels can still run, on main alone. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.count === 1) return;
    Atomics.store(this.#control, at.quit, 1);
    Atomics.add(this.#control, at.epoch, 1);
    Atomics.notify(this.#control, at.epoch);
    for (const worker of this.#workers) worker.terminate();
    this.#workers = [];
  }
}

/** A browser's main thread may not block; everywhere else it may. */
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}
