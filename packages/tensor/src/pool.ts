import type { Device } from "./device.ts";
import { callSite } from "./errors.ts";
import { Buffer } from "./value.ts";

export interface MemoryFigures {
  /** Bytes that tensors, cells and plans hold. */
  readonly live: number;
  /** Bytes kept for reuse. */
  readonly pooled: number;
  /** The most bytes that were live at once. */
  readonly peak: number;
  /** How many buffers are live. */
  readonly buffers: number;
  /** How many storages the driver was asked for since the start. */
  readonly allocations: number;
  /** Dropped handles that the garbage collector found at top level: each is a missing scope. */
  readonly reclaimed: number;
}

/** A storage's size: eight steps to the octave, so that a freed one fits what comes next at the cost of an eighth at the most. */
export function sizeClass(bytes: number): number {
  if (bytes <= 64) return 64;
  const step = 2 ** Math.max(6, Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

/** A device's memory by size class. Buffers come back when the last value that holds them goes. */
export class Pool {
  readonly #device: Device;
  /** Storages that may lie together are kept apart: a driver lays them out differently. */
  readonly #free = { together: new Map<number, unknown[]>(), alone: new Map<number, unknown[]>() };
  /** Live buffers, with the line that made them where the device records it. */
  readonly #live = new Map<Buffer, string | undefined>();
  #liveBytes = 0;
  #pooledBytes = 0;
  #peak = 0;
  #allocations = 0;
  reclaimed = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  take(bytes: number, fixed = false, together = fixed): Buffer {
    const size = sizeClass(bytes);
    const buffer = new Buffer(this.#device, size, undefined, fixed, together);
    const free = this.#freeFor(buffer).get(size);
    if (free && free.length > 0) {
      buffer.storage = free.pop();
      this.#pooledBytes -= size;
    } else buffer.storage = this.#allocate(size, together);
    this.#live.set(buffer, this.#device.debug ? callSite() : undefined);
    this.#liveBytes += size;
    this.#peak = Math.max(this.#peak, this.#liveBytes);
    return buffer;
  }

  /** Asks the driver; when it cannot, gives it back what is pooled and asks again. */
  #allocate(size: number, together: boolean): unknown {
    this.#allocations++;
    try {
      return this.#device.driver.allocate(size, together);
    } catch (error) {
      if (this.#pooledBytes === 0) throw error;
      this.clear();
      return this.#device.driver.allocate(size, together);
    }
  }

  #freeFor({ together }: Buffer): Map<number, unknown[]> {
    return together ? this.#free.together : this.#free.alone;
  }

  give(buffer: Buffer): void {
    if (!this.#live.delete(buffer)) return;
    const lists = this.#freeFor(buffer);
    const free = lists.get(buffer.bytes) ?? [];
    free.push(buffer.storage);
    lists.set(buffer.bytes, free);
    buffer.storage = undefined;
    this.#liveBytes -= buffer.bytes;
    this.#pooledBytes += buffer.bytes;
  }

  /** Returns pooled storages to the driver. */
  clear(): void {
    for (const lists of [this.#free.together, this.#free.alone]) {
      for (const list of lists.values()) for (const storage of list) this.#device.driver.release(storage);
      lists.clear();
    }
    this.#pooledBytes = 0;
  }

  figures(): MemoryFigures {
    return {
      live: this.#liveBytes,
      pooled: this.#pooledBytes,
      peak: this.#peak,
      buffers: this.#live.size,
      allocations: this.#allocations,
      reclaimed: this.reclaimed,
    };
  }

  /** Live buffers that are no cells, by the line that made them: what a leak report prints. Lines need `device.debug`. */
  leaks(): { readonly place: string; readonly buffers: number; readonly bytes: number }[] {
    const places = new Map<string, { buffers: number; bytes: number }>();
    for (const [buffer, place = "unknown (set device.debug = true)"] of this.#live) {
      if (buffer.fixed) continue;
      const entry = places.get(place) ?? { buffers: 0, bytes: 0 };
      places.set(place, { buffers: entry.buffers + 1, bytes: entry.bytes + buffer.bytes });
    }
    return [...places].map(([place, entry]) => ({ place, ...entry })).sort((a, b) => b.bytes - a.bytes);
  }
}
