import { expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { isTracing, type Shape, State, Tensor, TensorError } from "@x/tensor";
import type { NewHeads } from "./layer-cache.ts";
import { OrderedCache } from "./ordered-cache.ts";
import type { PagePool } from "./page-pool.ts";

export interface PagedKvCacheOptions {
  readonly batch: number;
  /** Positions there is room for in the page table, padding included; pages are taken as they fill. */
  readonly capacity: number;
  readonly pool: PagePool;
}

/**
 * Keys and values in pages of a pool, which are taken as positions fill and given back when they are forgotten. Forks, selected and gathered rows hold the same pages until one of them writes: then
 * it gets a copy of the one page it writes to. Attention reads pages where they lie, by a table of cells i32 [batch, capacity / pageSize], so a step costs what is filled.
 *
 * The host keeps the accounts: a call takes the pages it needs before it begins, and holds one position ready for a compiled step, which takes none; before a compiled step of
 * several positions call `reserve`.
 */
export class PagedKvCache extends OrderedCache {
  readonly capacity: number;
  readonly pool: PagePool;
  readonly #options: PagedKvCacheOptions;
  readonly #table: State;
  /** Pages of each row, in order. */
  #rows: number[][];
  /** Positions up to which every row may write. */
  #ready = 0;

  constructor(options: PagedKvCacheOptions) {
    const { batch, capacity, pool } = options;
    expectCounts("PagedKvCache", { batch, capacity });
    super({ batch, numLayers: pool.keys.length, device: pool.device });
    this.#options = options;
    this.pool = pool;
    this.capacity = capacity;
    this.#table = new State({ shape: [batch, Math.ceil(capacity / pool.pageSize)], dtype: "i32", device: pool.device });
    this.#rows = Array.from({ length: batch }, () => []);
  }

  /** Memory of the pages that are held; one that several rows share counts once. */
  override get bytes(): number {
    return new Set(this.#rows.flat()).size * this.pool.pageBytes;
  }

  /** Takes the pages that `count` more positions need, and copies shared ones that would be written; refuses where the pool has too few. */
  reserve(count: number): void {
    const { pool, length } = this;
    super.checkRoom([this.batch, count]);
    const needed = this.#needed(count);
    if (needed > pool.free)
      throw new TensorError(
        `PagedKvCache: positions ${length} to ${length + count - 1} of ${this.batch} rows need ${needed} more pages of ${pool.pageSize}, but of the pool's ${pool.pages} only ${pool.free} are free. Dispose of other caches, or make the pool larger.`,
      );
    const copies: [number, number][] = [];
    for (const row of this.#rows) {
      const begun = row[this.#begun];
      if (count > 0 && begun !== undefined && pool.holders(begun) > 1) {
        const own = pool.take();
        copies.push([begun, own]);
        pool.release(begun);
        row[this.#begun] = own;
      }
      while (row.length * pool.pageSize < length + count) row.push(pool.take());
    }
    pool.copy(copies);
    if (needed > 0) this.#writeTable();
    this.#ready = Math.max(this.#ready, length + count);
  }

  override checkRoom(shape: Shape, maxLength?: number): void {
    super.checkRoom(shape, maxLength);
    if (!isTracing()) this.reserve(shape[1]!);
  }

  override counted(count: number): void {
    // What a compiled step wrote beyond the pages it had went to nobody's page: say so, as if it had been asked for beforehand.
    const ready = this.#ready;
    if (this.length + count > ready) {
      this.reserve(count);
      throw new TensorError(
        `PagedKvCache: a compiled step filled positions ${this.length} to ${this.length + count - 1}, but pages were ready for ${ready}. Call reserve(${count}) before such a step.`,
      );
    }
    super.counted(count);
    this.#makeReady();
  }

  /** Rows by number: the host, which shares the pages, has to know them. */
  override gather(rows: Tensor | ArrayLike<number>): void {
    if (Tensor.isTensor(rows))
      throw new TensorError(
        "PagedKvCache.gather: rows must be numbers, for instance an Int32Array, as the host counts who holds a page; got a tensor.",
      );
    super.gather(rows);
    this.#hold(Array.from(rows, (row) => this.#rows[row]!));
    this.#makeReady();
  }

  override fork(): this {
    return super.fork().#share(this.#rows);
  }

  override select(rows: readonly number[]): this {
    return super.select(rows).#share(rows.map((row) => this.#rows[row]!));
  }

  override truncate(length: number): void {
    super.truncate(length);
    this.#hold(this.#rows);
    this.#makeReady();
  }

  override reset(padding?: ArrayLike<number>): void {
    super.reset(padding);
    this.#hold(this.#rows);
  }

  override dispose(): void {
    for (const page of this.#rows.flat()) this.pool.release(page);
    this.#rows = [];
    super.dispose();
    this.#table.dispose();
  }

  protected override get places(): number {
    return this.#table.shape[1]! * this.pool.pageSize;
  }

  protected write(layer: number, { k, v }: Omit<NewHeads, "q">): void {
    const { k: keys, v: values, pages } = this.kept(layer);
    keys.set(writeRows({ cache: keys, x: k, starts: this.lengths, pages }));
    values.set(writeRows({ cache: values, x: v, starts: this.lengths, pages }));
  }

  protected kept(layer: number) {
    return { k: this.pool.keys[layer]!, v: this.pool.values[layer]!, pages: this.#table };
  }

  protected read(layer: number) {
    const pages = this.#table.value.reshape([-1]);
    const joined = ({ value, shape }: State) => {
      const [, heads, page, dim] = shape as [number, number, number, number];
      const taken = value.take(pages, 0).reshape([this.batch, -1, heads, page, dim]);
      return taken.permute([0, 2, 1, 3, 4]).reshape([this.batch, heads, -1, dim]);
    };
    return { k: joined(this.pool.keys[layer]!), v: joined(this.pool.values[layer]!) };
  }

  /** Which page of a row the next position goes to. */
  get #begun(): number {
    return Math.floor(this.length / this.pool.pageSize);
  }

  /** Pages to take before `count` more positions can be written: new ones, and one for each holder of a shared page but the last. */
  #needed(count: number): number {
    if (count === 0) return 0;
    const { pool } = this;
    const copied = new Map<number, number>();
    let needed = 0;
    for (const row of this.#rows) {
      needed += Math.max(0, Math.ceil((this.length + count) / pool.pageSize) - row.length);
      const begun = row[this.#begun];
      if (begun === undefined) continue;
      const before = copied.get(begun) ?? 0;
      if (pool.holders(begun) - before < 2) continue;
      copied.set(begun, before + 1);
      needed += 1;
    }
    return needed;
  }

  /** Holds the next position ready for a compiled step, if there is one and the pool has the pages; else the call that needs it is refused. */
  #makeReady(): void {
    if (this.length === 0 || this.length === this.capacity || this.#needed(1) > this.pool.free) return;
    this.reserve(1);
  }

  /** Holds the pages of other rows with them, but for the one that is written next, which has to be its own: they do not know that it is shared. */
  #share(rows: readonly (readonly number[])[]): this {
    this.#hold(rows);
    try {
      this.reserve(Math.min(1, this.capacity - this.length));
    } catch (error) {
      this.dispose();
      throw error;
    }
    return this;
  }

  /** Takes over the filled pages of rows, and lets go of what was held. */
  #hold(rows: readonly (readonly number[])[]): void {
    const filled = Math.ceil(this.length / this.pool.pageSize);
    const taken = rows.map((row) => row.slice(0, filled));
    for (const page of taken.flat()) this.pool.share(page);
    for (const page of this.#rows.flat()) this.pool.release(page);
    this.#rows = taken;
    this.#ready = this.length;
    this.#writeTable();
  }

  /** A page that must be copied before it is written is left out: what a compiled step writes without asking goes to nobody's page. */
  #writeTable(): void {
    const most = this.#table.shape[1]!;
    const table = new Int32Array(this.batch * most);
    for (const [b, row] of this.#rows.entries()) {
      table.set(row, b * most);
      const begun = row[this.#begun];
      if (begun !== undefined && this.pool.holders(begun) > 1) table[b * most + this.#begun] = 0;
    }
    this.#table.write(table);
  }

  protected like(batch: number): this {
    return new PagedKvCache({ ...this.#options, batch }) as this;
  }

  /** The pages lie in the pool, and the table follows the host's accounts. */
  protected cells(): State[] {
    return [];
  }
}
