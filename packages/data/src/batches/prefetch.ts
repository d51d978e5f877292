import { integer } from "../errors.ts";

/** What can be prefetched: anything to iterate over, synchronous or not. */
export type Source<T> = AsyncIterable<T> | Iterable<T>;

/** A prefetched source. `state` is there when the source has it. */
export interface Prefetched<T, S> extends AsyncIterableIterator<T> {
  /** The source's state after the element that was handed out last: what ran ahead does not count. */
  state(): S;
  /** Ends the iteration and the source; what was read ahead is dropped. */
  return(): Promise<IteratorResult<T>>;
}

interface Ahead<T, S> {
  result: Promise<IteratorResult<T>>;
  state: () => S;
}

/**
 * Reads up to `ahead` elements before they are asked for, in order and one at a time. An error of the source arrives where its element
 * would have; after it, and after the end, the source is not asked again.
 */
export function prefetch<T, S = undefined>(source: Source<T> & { state?(): S }, ahead: number): Prefetched<T, S> {
  return new Prefetch<T, S>(source, integer("prefetch", "ahead", ahead, 1));
}

class Prefetch<T, S> implements Prefetched<T, S> {
  readonly #source: Source<T> & { state?(): S };
  readonly #ahead: number;
  #iterator: AsyncIterator<T> | Iterator<T> | undefined;
  readonly #queue: Ahead<T, S>[] = [];
  /** The end of the last read begun: reads of the source follow one another. */
  #last: Promise<unknown> = Promise.resolve();
  #done = false;
  #state: () => S;

  constructor(source: Source<T> & { state?(): S }, ahead: number) {
    this.#source = source;
    this.#ahead = ahead;
    this.#state = () => source.state?.() as S;
  }

  async next(): Promise<IteratorResult<T>> {
    if (!this.#iterator) this.#start();
    this.#fill();
    const head = this.#queue.shift();
    if (!head) return { done: true, value: undefined };
    const result = await head.result;
    if (!result.done) this.#state = head.state;
    this.#fill();
    return result;
  }

  async return(): Promise<IteratorResult<T>> {
    this.#done = true;
    this.#queue.length = 0;
    await this.#iterator?.return?.();
    return { done: true, value: undefined };
  }

  state(): S {
    return this.#state();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Begins to read: from here on the source runs ahead, so its state is noted with each element. */
  #start(): void {
    const source = this.#source;
    const before = source.state?.() as S;
    this.#state = () => before;
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** Begins as many reads as may run ahead. */
  #fill(): void {
    while (!this.#done && this.#queue.length < this.#ahead) {
      let state: S;
      const result = this.#last
        .then(() => this.#read())
        .finally(() => {
          state = this.#source.state?.() as S;
        });
      this.#last = result.catch(() => undefined);
      this.#queue.push({ result, state: () => state });
    }
  }

  async #read(): Promise<IteratorResult<T>> {
    if (this.#done) return { done: true, value: undefined };
    try {
      const read = await this.#iterator!.next();
      if (read.done) this.#done = true;
      return read;
    } catch (error) {
      this.#done = true;
      throw error;
    }
  }
}
