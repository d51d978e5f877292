import type { Pattern } from "@x/ops";
import { type Device, hostConstant, type Tensor, TensorError } from "@x/tensor";

interface Made {
  readonly of: string;
  readonly scores: Tensor;
}

/** A pattern as numbers to add to the scores of attention that is composed: the logarithm of how often a query sees a key, and -1e30 where it does not. */
export class PatternScores {
  readonly #pattern: Pattern;
  #whole: Made | undefined;
  /** By their number and device; a power of two, so that few of them serve all extents. What a compiled step reads is never replaced. */
  readonly #blocks = new Map<string, Tensor>();

  constructor(pattern: Pattern) {
    this.#pattern = pattern;
  }

  /** [queries, keys] in the type of `like`, the last query standing at the last key; kept until other extents are asked for. */
  forward(queries: number, keys: number, { device, dtype }: Tensor): Tensor {
    const of = `${queries} ${keys} ${device.name}`;
    if (this.#whole?.of !== of) this.#whole = { of, scores: this.#table(queries, keys, (i, j) => [i + keys - queries, j], device) };
    return this.#whole.scores.cast(dtype);
  }

  /**
   * Where queries and keys stand anywhere, the keys no later than their queries: queries i32 [batch, n] and keys i32 [batch, places], positions from 0 to places - 1 where it matters -> f32 [batch, n, places]. Of a window
   * nothing is kept, of blocks a number for each two; others would need one for each two positions: `expectCached` refuses them.
   */
  between(queries: Tensor, keys: Tensor): Tensor {
    const { band, blockSize = 1 } = this.#pattern;
    const [[batch, count], places] = [queries.shape as [number, number], keys.shape[1]!];
    if (band) return keys.unsqueeze(1).sub(queries.unsqueeze(2)).ge(Math.max(band.from, -places)).cast("f32").sub(1).mul(1e30);
    const size = Math.min(blockSize, places);
    const table = this.#ofBlocks(size, 2 ** Math.ceil(Math.log2(Math.ceil(places / size))), keys.device);
    const blockOf = (positions: Tensor) =>
      positions
        .maximum(0)
        .minimum(places - 1)
        .div(size);
    const rows = table.take(blockOf(queries), 0);
    return rows.gather(blockOf(keys).unsqueeze(1).expand([batch, count, places]), 2);
  }

  #ofBlocks(size: number, count: number, device: Device): Tensor {
    const of = `${count} ${device.name}`;
    // The last query of a block is no earlier than any of its keys.
    const made = this.#blocks.get(of) ?? this.#table(count, count, (i, j) => [(i + 1) * size - 1, j * size], device);
    this.#blocks.set(of, made);
    return made;
  }

  /** Refuses, for `who`, a pattern that `between` does not serve. */
  expectCached(who: string): void {
    const { band, blockSize } = this.#pattern;
    if (!band && blockSize === undefined)
      throw new TensorError(
        `${who}: pattern does not act over a cache, as it is neither a sliding window nor made of blocks. Leave the cache out and attend to the whole sequence, or use window(left) or blocks(table, { size }).`,
      );
  }

  #table(rows: number, columns: number, at: (row: number, column: number) => readonly [query: number, key: number], device: Device) {
    const data = new Float32Array(rows * columns);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const times = this.#pattern.times(...at(i, j));
        data[i * columns + j] = times > 0 ? Math.log(times) : -1e30;
      }
    return hostConstant(data, { shape: [rows, columns], device });
  }
}
