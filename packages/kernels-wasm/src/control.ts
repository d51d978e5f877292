/**
 * The words through which threads meet, in the reserved start of the shared memory. Words that several threads write lie in cache
 * lines of their own. The worker's source is a string, so it takes these numbers as data.
 */
export const CONTROL_ADDRESS = 64;
export const control = {
  /** Counts launches; what idle workers wait on. */
  epoch: 0,
  /** 1 once the workers shall end. */
  quit: 1,
  /** How many workers wait on `epoch`. */
  sleepers: 16,
  /** The next unit that nobody has claimed. */
  next: 32,
  /** How many workers are inside a launch, or about to look whether it is still open. */
  active: 48,
  /** 1 while main waits for `active` to change. */
  joining: 64,
  /** 1 while the launch below may be joined. */
  open: 80,
  kernel: 81,
  args: 82,
  units: 83,
  grain: 84,
  /** Address of the first record [next, bytes, code...] of the modules added at run time. */
  modules: 96,
  /** Bytes of the error text that a worker left, 0 when none; the text follows. */
  errorLength: 112,
  errorText: 113,
  /** How many workers have started. */
  ready: 97,
} as const;
export const ERROR_BYTES = 512;
export const CONTROL_WORDS = control.errorText + ERROR_BYTES / 4;

/** What a worker is started with. */
export interface WorkerStart {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly address: number;
  readonly words: number;
  readonly layout: typeof control;
  readonly errorBytes: number;
  readonly stackTop: number;
  readonly spinMicroseconds: number;
}
