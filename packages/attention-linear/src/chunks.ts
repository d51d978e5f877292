import type { Tensor } from "@x/tensor";
import { padded } from "./prefix.ts";

interface Extents {
  readonly heads: number;
  readonly kvHeads: number;
  readonly length: number;
  readonly chunk: number;
}

/** A sequence cut into chunks, and query heads that share keys laid side by side as rows of one product. */
export class Chunks {
  readonly chunk: number;
  /** How many chunks. */
  readonly count: number;
  /** Rows of queries in a chunk: its positions, for each query head of a group in turn. */
  readonly rows: number;
  readonly #length: number;
  readonly #missing: number;
  readonly #kvHeads: number;
  readonly #group: number;

  constructor({ heads, kvHeads, length, chunk }: Extents) {
    this.chunk = Math.max(1, Math.min(chunk, length));
    this.count = Math.ceil(length / this.chunk);
    this.rows = (heads / kvHeads) * this.chunk;
    this.#length = length;
    this.#missing = this.count * this.chunk - length;
    this.#kvHeads = kvHeads;
    this.#group = heads / kvHeads;
  }

  /** Filled to whole chunks. [batch, heads, length, d] -> [batch, heads, count * chunk, d] */
  fill(x: Tensor, value = 0): Tensor {
    return padded(x, 2, this.#missing, value);
  }

  /** [batch, heads, count * chunk, d] -> [batch, heads, count, chunk, d] */
  cut(x: Tensor): Tensor {
    const [batch, heads, , width] = x.shape as [number, number, number, number];
    return x.reshape([batch, heads, this.count, this.chunk, width]);
  }

  /** What belongs to positions, [batch, any, count, chunk, d], for each row: [batch, any, count, rows, d]. */
  perRow(x: Tensor): Tensor {
    if (this.#group === 1) return x;
    const [batch, heads, , , width] = x.shape as [number, number, number, number, number];
    const repeated = x.unsqueeze(3).expand([batch, heads, this.count, this.#group, this.chunk, width]);
    return repeated.reshape([batch, heads, this.count, this.rows, width]);
  }

  /** Of queries [batch, heads, length, d], filled, the rows [batch, kvHeads, count, rows, d]. */
  queryRows(q: Tensor): Tensor {
    const [batch, , , width] = q.shape as [number, number, number, number];
    const apart = this.fill(q).reshape([batch, this.#kvHeads, this.#group, this.count, this.chunk, width]);
    return apart.permute([0, 1, 3, 2, 4, 5]).reshape([batch, this.#kvHeads, this.count, this.rows, width]);
  }

  /** The way back: [batch, kvHeads, count, rows, d] -> [batch, heads, length, d] */
  perHead(x: Tensor): Tensor {
    const [batch, , , , width] = x.shape as [number, number, number, number, number];
    const apart = x.reshape([batch, this.#kvHeads, this.count, this.#group, this.chunk, width]).permute([0, 1, 3, 2, 4, 5]);
    const heads = this.#kvHeads * this.#group;
    return apart.reshape([batch, heads, this.count * this.chunk, width]).slice(2, 0, this.#length);
  }
}
