import type { Pipeline } from "./pipeline.ts";

/** A dispatch that is bound: what a pass is made of. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

export interface RecorderFigures {
  submits: number;
  dispatches: number;
}

/** Uniform words that wait for the next flush; one parameter block takes a multiple of 64. */
const capacity = 1 << 16;
const block = 64;
/** Dispatches that are submitted together at the latest. */
const batch = 512;

/** Told of each pass before it is encoded: a profiler times them. */
export interface PassObserver {
  encode(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void;
}

/** Dispatches in program order, encoded into one pass and one submit when somebody waits, writes, or enough have gathered. */
export class Recorder {
  readonly #device: GPUDevice;
  readonly #words = new Uint32Array(capacity);
  readonly #uniform: GPUBuffer;
  #used = 0;
  #pending: Dispatch[] = [];
  observer: PassObserver | undefined;
  readonly figures: RecorderFigures = { submits: 0, dispatches: 0 };

  constructor(device: GPUDevice) {
    this.#device = device;
    // UNIFORM, COPY_DST
    this.#uniform = device.createBuffer({ size: 4 * capacity, usage: 0x40 | 0x8, label: "parameters" });
  }

  /** Room for parameters, written with the next flush. Calling it may flush, so bind right after. */
  place(words: Uint32Array<ArrayBuffer>): GPUBufferBinding {
    const size = Math.ceil(words.length / block) * block;
    if (this.#used + size > capacity || this.#pending.length >= batch) this.flush();
    this.#words.set(words, this.#used);
    const binding = { buffer: this.#uniform, offset: 4 * this.#used, size: 4 * words.length };
    this.#used += size;
    return binding;
  }

  add(dispatch: Dispatch): void {
    this.#pending.push(dispatch);
  }

  flush(): void {
    if (this.#pending.length === 0) return;
    this.#device.queue.writeBuffer(this.#uniform, 0, this.#words, 0, this.#used);
    const pending = this.#pending;
    this.#pending = [];
    this.#used = 0;
    this.submit(pending);
  }

  /** One pass with these dispatches, after everything recorded before. */
  submit(dispatches: readonly Dispatch[]): void {
    if (dispatches.length === 0) return;
    const encoder = this.#device.createCommandEncoder();
    if (this.observer) this.observer.encode(encoder, dispatches);
    else encodePass(encoder, dispatches);
    this.#device.queue.submit([encoder.finish()]);
    this.figures.submits++;
    this.figures.dispatches += dispatches.length;
  }
}

export function encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[], descriptor?: GPUComputePassDescriptor): void {
  const pass = encoder.beginComputePass(descriptor);
  let last: Pipeline | undefined;
  for (const { pipeline, group, grid } of dispatches) {
    if (pipeline !== last) pass.setPipeline(pipeline.now);
    last = pipeline;
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
  }
  pass.end();
}
