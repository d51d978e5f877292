import { bytesOf, expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { type Device, State, scope, TensorError, tensor, zeros } from "@x/tensor";
import type { CachedHeads } from "./attention-cache.ts";

export interface PagePoolOptions extends CachedHeads {
  readonly pages: number;
  /** Positions of a page. */
  readonly pageSize?: number;
}

/**
 * Pages of keys and values, [numKvHeads, pageSize, headDim] each in every layer, that caches take, share and give back: memory goes by what is filled, not by what may come. A page that several
 * hold is not written by any of them. Kwon et al. 2023, arXiv 2309.06180.
 */
export class PagePool {
  readonly pages: number;
  readonly pageSize: number;
  readonly numLayers: number;
  /** [pages + 1, numKvHeads, pageSize, headDim] per layer. Page 0 is nobody's: it takes what is written to no page. */
  readonly keys: readonly State[];
  readonly values: readonly State[];
  readonly #holders: Int32Array;
  readonly #free: number[];

  constructor({ pages, pageSize = 16, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device }: PagePoolOptions) {
    expectCounts("PagePool", { pages, pageSize, numLayers, numKvHeads, headDim, valueDim });
    this.pages = pages;
    this.pageSize = pageSize;
    this.numLayers = numLayers;
    const place = (dim: number) => new State({ shape: [pages + 1, numKvHeads, pageSize, dim], dtype, device });
    this.keys = Array.from({ length: numLayers }, () => place(headDim));
    this.values = Array.from({ length: numLayers }, () => place(valueDim));
    this.#holders = new Int32Array(pages + 1);
    this.#free = Array.from({ length: pages }, (_, i) => pages - i);
  }

  get device(): Device {
    return this.keys[0]!.device;
  }
  /** Pages that nobody holds. */
  get free(): number {
    return this.#free.length;
  }
  /** Memory of all pages, held or not. */
  get bytes(): number {
    return bytesOf([...this.keys, ...this.values]);
  }
  /** Memory of one page in all layers. */
  get pageBytes(): number {
    return this.bytes / (this.pages + 1);
  }

  /** How many hold a page. */
  holders(page: number): number {
    return this.#holders[page]!;
  }

  /** A page of one's own; refuses where none is free. */
  take(): number {
    const page = this.#free.pop();
    if (page === undefined)
      throw new TensorError(
        `PagePool: all ${this.pages} pages of ${this.pageSize} positions are held. Dispose of caches, or make it larger.`,
      );
    this.#holders[page] = 1;
    return page;
  }

  /** One more holds a page. */
  share(page: number): void {
    this.#holders[page]! += 1;
  }

  /** One holds a page no more; the last one gives it back. */
  release(page: number): void {
    this.#holders[page]! -= 1;
    if (this.#holders[page] === 0) this.#free.push(page);
  }

  /** The contents of some pages into others. */
  copy(pages: readonly (readonly [from: number, to: number])[]): void {
    if (pages.length === 0) return;
    const { device } = this;
    const indices = (part: 0 | 1) => Int32Array.from(pages, (pair) => pair[part]);
    scope(() => {
      const [from, to] = [tensor(indices(0), { device }), tensor(indices(1), { device }).unsqueeze(1)];
      const starts = zeros([pages.length], { dtype: "i32", device });
      for (const cell of [...this.keys, ...this.values])
        cell.set(writeRows({ cache: cell, x: cell.value.take(from, 0), starts, pages: to }));
    });
  }

  dispose(): void {
    for (const cell of [...this.keys, ...this.values]) cell.dispose();
  }
}
