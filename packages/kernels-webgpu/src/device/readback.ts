const roundUp = (n: number, step: number) => Math.ceil(n / step) * step;

/** Mappable buffers for reading, kept by size class and used again once unmapped. */
export class Readback {
  readonly #device: GPUDevice;
  readonly #free = new Map<number, GPUBuffer[]>();
  /** At most this many idle buffers of a size class are kept. */
  readonly #kept = 4;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Copies a range out, behind everything submitted so far. Offset and size are widened to whole words. */
  async read(source: GPUBuffer, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    if (bytes === 0) return new Uint8Array(0);
    const start = Math.floor(offset / 4) * 4;
    const size = roundUp(offset + bytes - start, 4);
    const staging = this.#take(2 ** Math.max(8, Math.ceil(Math.log2(size))));
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, start, staging, 0, size);
    this.#device.queue.submit([encoder.finish()]);
    // MAP_READ
    await staging.mapAsync(0x1, 0, size);
    const copy = new Uint8Array(staging.getMappedRange(0, size).slice(0));
    staging.unmap();
    this.#give(staging);
    return copy.subarray(offset - start, offset - start + bytes);
  }

  #take(size: number): GPUBuffer {
    // MAP_READ, COPY_DST
    return this.#free.get(size)?.pop() ?? this.#device.createBuffer({ size, usage: 0x1 | 0x8, label: "read back" });
  }

  #give(buffer: GPUBuffer): void {
    const list = this.#free.get(buffer.size) ?? [];
    this.#free.set(buffer.size, list);
    if (list.length < this.#kept) list.push(buffer);
    else buffer.destroy();
  }
}
