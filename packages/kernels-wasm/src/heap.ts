import { Bins, type Block } from "./bins.ts";

const PAGE = 65536;
/** Buffers start at multiples of this many bytes and occupy multiples of it. */
const ALIGNMENT = 64;
/** The first bytes of the memory are not given out: address 0 means absent, and the threads' control words stand here. */
export const RESERVED = 4096;

export interface HeapFigures {
  /** Bytes in live buffers, and the most there ever were. */
  readonly live: number;
  readonly peak: number;
  /** Bytes held from the host and free for reuse. */
  readonly pooled: number;
  /** Number of live buffers. */
  readonly count: number;
  /** The most bytes the host grants. */
  readonly maximum: number;
}

export interface HeapOptions {
  /** Whether threads share the memory. */
  readonly shared: boolean;
  /** Upper limit in bytes; the host may grant less: 4 GiB, 2 or 1. */
  readonly maximumBytes?: number | undefined;
}

/** One WebAssembly memory cut into buffers. Only the heap makes views of it, and a view is good until the next allocation. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  readonly shared: boolean;
  readonly #maximum: number;
  readonly #blocks = new Map<number, Block>();
  readonly #free = new Bins();
  #last: Block;
  #live = 0;
  #peak = 0;

  constructor({ shared, maximumBytes = 2 ** 32 }: HeapOptions) {
    this.shared = shared;
    [this.memory, this.#maximum] = createMemory(shared, maximumBytes);
    this.#last = { address: RESERVED, size: PAGE * 16 - RESERVED, free: true, before: undefined, after: undefined };
    this.#free.add(this.#last);
  }

  /** The address of `bytes` uninitialised bytes, 64-byte aligned. `what` names the wish in the error when memory runs out. */
  allocate(bytes: number, what = "a buffer"): number {
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`heap: ${what} of ${bytes} bytes: expected a whole number >= 0`);
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const block = this.#free.take(size) ?? this.#grow(size, what);
    block.free = false;
    this.#split(block, size);
    this.#blocks.set(block.address, block);
    this.#live += block.size;
    this.#peak = Math.max(this.#peak, this.#live);
    return block.address;
  }

  /** Gives a buffer back to the pool. */
  free(address: number): void {
    const block = this.#blocks.get(address);
    if (!block) throw new Error(`heap: address ${address} is not a live buffer: freed twice, or never allocated here`);
    this.#blocks.delete(address);
    this.#live -= block.size;
    block.free = true;
    const { before, after } = block;
    if (after?.free) this.#absorb(block, after);
    if (before?.free) {
      this.#free.remove(before);
      this.#link(before, block);
    }
    this.#free.add(before?.free ? before : block);
  }

  figures(): HeapFigures {
    const held = this.memory.buffer.byteLength - RESERVED;
    return { live: this.#live, peak: this.#peak, pooled: held - this.#live, count: this.#blocks.size, maximum: this.#maximum };
  }

  /** A view of `length` bytes, good until the next allocation. */
  bytes(address: number, length: number): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.memory.buffer, address, length);
  }
  /** A view of `length` floats, good until the next allocation. */
  f32(address: number, length: number): Float32Array<ArrayBufferLike> {
    return new Float32Array(this.memory.buffer, address, length);
  }
  /** A view of `length` words, good until the next allocation. */
  i32(address: number, length: number): Int32Array<ArrayBufferLike> {
    return new Int32Array(this.memory.buffer, address, length);
  }
  /** A copy of `length` bytes in an ordinary ArrayBuffer. */
  read(address: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length);
    copy.set(this.bytes(address, length));
    return copy;
  }
  /** Copies the bytes of `source` to an address. */
  write(address: number, source: ArrayBufferView): void {
    this.bytes(address, source.byteLength).set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }

  /** Cuts what `block` has beyond `size` off as a free block. */
  #split(block: Block, size: number): void {
    const rest = block.size - size;
    if (rest < ALIGNMENT) return;
    const tail: Block = { address: block.address + size, size: rest, free: true, before: block, after: block.after };
    if (block.after) block.after.before = tail;
    else this.#last = tail;
    block.after = tail;
    block.size = size;
    this.#free.add(tail);
  }

  /** Takes the free neighbour after `block` out of the bins and into it. */
  #absorb(block: Block, after: Block): void {
    this.#free.remove(after);
    this.#link(block, after);
  }

  /** Makes one block of two neighbours. */
  #link(first: Block, second: Block): void {
    first.size += second.size;
    first.after = second.after;
    if (second.after) second.after.before = first;
    else this.#last = first;
  }

  /** Asks the host for more: a quarter of what there is, at least a megabyte, at most 64, or what is needed. */
  #grow(size: number, what: string): Block {
    const held = this.memory.buffer.byteLength;
    const spare = this.#last.free ? this.#last.size : 0;
    const needed = size - spare;
    const step = Math.min(Math.max(held / 4, 2 ** 20), 2 ** 26);
    const pages = (bytes: number) => Math.ceil(bytes / PAGE);
    const grown = [pages(Math.max(needed, step)), pages(needed)].find((count) => this.#tryGrow(held, count));
    if (grown === undefined) throw this.#outOfMemory(size, what);
    const fresh: Block = { address: held, size: grown * PAGE, free: true, before: this.#last, after: undefined };
    const before = this.#last;
    before.after = this.#last = fresh;
    if (!before.free) return fresh;
    this.#free.remove(before);
    this.#link(before, fresh);
    return before;
  }

  #tryGrow(held: number, pages: number): boolean {
    if (held + pages * PAGE > this.#maximum) return false;
    try {
      this.memory.grow(pages);
      return true;
    } catch {
      return false;
    }
  }

  #outOfMemory(size: number, what: string): Error {
    const { live, pooled, count, maximum } = this.figures();
    const error = new Error(
      `heap: out of memory: ${what} asks for ${megabytes(size)}; ${megabytes(live)} are live in ${count} buffers and ` +
        `${megabytes(pooled)} are pooled in pieces that are too small, of at most ${megabytes(maximum)}. ` +
        "Free tensors, use a smaller batch or shorter sequences, or checkpoint activations.",
    );
    error.name = "OutOfMemoryError";
    return error;
  }
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 1)} MiB`;

/** A memory with the largest maximum the host grants: 4 GiB, then 2, then 1, none above the wish. */
function createMemory(shared: boolean, maximumBytes: number): [WebAssembly.Memory, number] {
  const wish = Math.floor(maximumBytes / PAGE);
  if (!(wish >= 16)) throw new RangeError(`heap: maximumBytes is ${maximumBytes}; expected at least ${16 * PAGE} (1 MiB)`);
  const sizes = [65536, 32768, 16384].map((pages) => Math.min(pages, wish));
  let cause: unknown;
  for (const maximum of new Set(sizes)) {
    try {
      return [new WebAssembly.Memory({ initial: 16, maximum, shared }), maximum * PAGE];
    } catch (error) {
      cause = error;
    }
  }
  throw new Error(`heap: the host grants no WebAssembly memory of ${megabytes(Math.min(...sizes) * PAGE)} (${String(cause)})`, { cause });
}
