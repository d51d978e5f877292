import { OutOfMemoryError } from "@x/tensor";
import type { DriverOptions } from "./figures.ts";

/** A stretch of a GPU buffer: all of it, or, for what lives long, a part of a slab. */
export interface Storage {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Slabs begin small and double. */
const [smallestSlab, largestSlab] = [1 << 20, 1 << 25];
/** Larger ones get a buffer of their own. */
const largestPart = largestSlab / 4;
const alignment = 256;
const roundUp = (n: number): number => Math.ceil(n / alignment) * alignment;

/** A buffer shared by cells, with the gaps between them in order of their offsets. */
class Slab {
  readonly buffer: GPUBuffer;
  readonly #gaps: { offset: number; bytes: number }[];

  constructor(buffer: GPUBuffer) {
    this.buffer = buffer;
    this.#gaps = [{ offset: 0, bytes: buffer.size }];
  }

  take(bytes: number): Storage | undefined {
    const at = this.#gaps.findIndex((gap) => gap.bytes >= bytes);
    const gap = this.#gaps[at];
    if (!gap) return undefined;
    const storage = { buffer: this.buffer, offset: gap.offset, bytes };
    gap.offset += bytes;
    gap.bytes -= bytes;
    if (gap.bytes === 0) this.#gaps.splice(at, 1);
    return storage;
  }

  give({ offset, bytes }: Storage): void {
    const after = this.#gaps.findIndex((gap) => gap.offset > offset);
    const at = after < 0 ? this.#gaps.length : after;
    this.#gaps.splice(at, 0, { offset, bytes });
    this.#merge(at);
    if (at > 0) this.#merge(at - 1);
  }

  #merge(at: number): void {
    const [gap, next] = [this.#gaps[at]!, this.#gaps[at + 1]];
    if (!next || gap.offset + gap.bytes !== next.offset) return;
    gap.bytes += next.bytes;
    this.#gaps.splice(at + 1, 1);
  }

  get empty(): boolean {
    return this.#gaps.length === 1 && this.#gaps[0]!.bytes === this.buffer.size;
  }
}

/**
 * The buffers of a device. Cells of moderate size and small temporaries of steps share slabs, so that one binding reaches many of them; everything else has a buffer of its own. Reuse of what was
 * given back is the pool's business (@x/tensor), above.
 */
export class Memory {
  readonly #device: GPUDevice;
  readonly #limit: number;
  readonly #usage: number;
  readonly #slabs = new Map<GPUBuffer, Slab>();
  /** Reports that the hardware refused a buffer, which it does late. */
  readonly #onRefused: (error: OutOfMemoryError) => void;
  bytes = 0;
  buffers = 0;

  constructor(device: GPUDevice, { memory = Number.POSITIVE_INFINITY }: DriverOptions, onRefused: (error: OutOfMemoryError) => void) {
    this.#device = device;
    this.#limit = memory;
    this.#onRefused = onRefused;
    // STORAGE, COPY_SRC, COPY_DST: the constants are globals of browsers only.
    this.#usage = 0x80 | 0x4 | 0x8;
  }

  allocate(bytes: number, together: boolean): Storage {
    const size = roundUp(Math.max(bytes, alignment));
    if (!together || size > largestPart) return { buffer: this.#create(size), offset: 0, bytes: size };
    for (const slab of this.#slabs.values()) {
      const storage = slab.take(size);
      if (storage) return storage;
    }
    const largest = Math.max(0, ...[...this.#slabs.keys()].map((buffer) => buffer.size));
    const bytesOfSlab = Math.min(largestSlab, Math.max(smallestSlab, 2 * largest, 4 * 2 ** Math.ceil(Math.log2(size))));
    const slab = new Slab(this.#create(bytesOfSlab));
    this.#slabs.set(slab.buffer, slab);
    return slab.take(size)!;
  }

  release(storage: Storage): void {
    const slab = this.#slabs.get(storage.buffer);
    slab?.give(storage);
    if (slab && !slab.empty) return;
    this.#slabs.delete(storage.buffer);
    this.bytes -= storage.buffer.size;
    this.buffers--;
    storage.buffer.destroy();
  }

  #create(size: number): GPUBuffer {
    const { maxBufferSize } = this.#device.limits;
    const state = `${this.bytes} bytes in ${this.buffers} buffers are allocated`;
    if (size > maxBufferSize)
      throw new OutOfMemoryError(
        `device webgpu: a buffer of ${size} bytes is larger than the ${maxBufferSize} bytes that this adapter allows (${state}). Use smaller tensors, or split this one.`,
      );
    if (this.bytes + size > this.#limit)
      throw new OutOfMemoryError(
        `device webgpu: ${size} bytes more would exceed the limit of ${this.#limit} bytes (${state}). Use a smaller batch, or raise webgpu({ memory }).`,
      );
    this.#device.pushErrorScope("out-of-memory");
    const buffer = this.#device.createBuffer({ size, usage: this.#usage });
    void this.#device.popErrorScope().then(
      (error) => {
        if (error)
          this.#onRefused(
            new OutOfMemoryError(
              `device webgpu: the hardware refused a buffer of ${size} bytes (${state}). Use a smaller batch, or set webgpu({ memory }).`,
            ),
          );
      },
      () => {},
    );
    this.bytes += size;
    this.buffers++;
    return buffer;
  }
}
