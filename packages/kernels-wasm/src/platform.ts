import type { WorkerStart } from "./control.ts";

/** A started worker. */
export interface WorkerHandle {
  /** Ends it, whatever it does. */
  terminate(): void;
}

export interface SpawnOptions {
  /** Called when the worker could not start or has died; the others and main go on. */
  readonly onError: (error: unknown) => void;
  /** Browsers only: where the worker's script stands, for pages whose content policy forbids blob: workers. */
  readonly workerUrl?: string | URL | undefined;
}

/** What differs between Node and browsers. `#platform` resolves to one of the two. */
export interface Platform {
  /** Number of hardware threads. */
  cores(): number;
  /** Whether threads can share memory here; a reason where they cannot. */
  sharesMemory(): true | string;
  /** Asks the host to allow relaxed SIMD where that takes a switch. */
  enableRelaxedSimd(): void;
  spawn(start: WorkerStart, options: SpawnOptions): WorkerHandle;
}
