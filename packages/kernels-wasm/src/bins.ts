/** A stretch of the heap, linked to its neighbours in address order and, while free, to others of its size class. */
export interface Block {
  readonly address: number;
  size: number;
  free: boolean;
  before: Block | undefined;
  after: Block | undefined;
  bin?: number | undefined;
  previous?: Block | undefined;
  next?: Block | undefined;
}

/** Classes per doubling of the size. */
const STEPS = 8;
const CLASSES = 33 * STEPS;

/** The class a size falls in: sizes from 2^e (1 + s/8) on. */
function classOf(size: number): number {
  const exponent = 31 - Math.clz32(size >>> 6);
  return exponent * STEPS + (Math.floor((size / 2 ** (exponent + 6)) * STEPS) - STEPS);
}

/** Free blocks by size class, with a bit for each class that has any: finding, adding and removing take constant time. */
export class Bins {
  readonly #heads: (Block | undefined)[] = Array.from({ length: CLASSES });
  readonly #bits = new Uint32Array(Math.ceil(CLASSES / 32));

  add(block: Block): void {
    const bin = classOf(block.size);
    const head = this.#heads[bin];
    block.bin = bin;
    block.previous = undefined;
    block.next = head;
    if (head) head.previous = block;
    this.#heads[bin] = block;
    this.#bits[bin >> 5]! |= 1 << (bin & 31);
  }

  remove(block: Block): void {
    const bin = block.bin!;
    if (block.next) block.next.previous = block.previous;
    if (block.previous) block.previous.next = block.next;
    else {
      this.#heads[bin] = block.next;
      if (!block.next) this.#bits[bin >> 5]! &= ~(1 << (bin & 31));
    }
    block.bin = block.previous = block.next = undefined;
  }

  /** Takes out a block of at least `size` bytes: a few of its own class are looked at, then the next class that has any. */
  take(size: number): Block | undefined {
    const bin = classOf(size);
    let block = this.#heads[bin];
    for (let looked = 0; block && block.size < size; looked++) block = looked < 8 ? block.next : undefined;
    block ??= this.#heads[this.#following(bin + 1)];
    if (block) this.remove(block);
    return block;
  }

  /** The first class from `bin` on that has a block; CLASSES when there is none. */
  #following(bin: number): number {
    let word = bin >> 5;
    let bits = (this.#bits[word] ?? 0) & (-1 << (bin & 31));
    while (bits === 0 && ++word < this.#bits.length) bits = this.#bits[word]!;
    return bits === 0 ? CLASSES : word * 32 + 31 - Math.clz32(bits & -bits);
  }
}
