import { expectCounts } from "@x/nn";
import { writeRows } from "@x/ops";
import { State, statisticsOf, type Tensor } from "@x/tensor";
import type { KvCacheOptions } from "./kv-cache.ts";
import type { NewHeads } from "./layer-cache.ts";
import { OrderedCache } from "./ordered-cache.ts";

/** What is cached of one layer's keys, or of its values. */
interface Side {
  readonly codes: State;
  readonly scales: State;
}

/**
 * Keys and values in 8 bits: of each position of each head one scale, the largest magnitude / 127, and codes 128 + round(x / scale). An element is off by at most half a scale, 1 / 254 of the largest
 * of its position and head. A position takes headDim + 4 bytes a head instead of 4 headDim; attention reads the codes as they are, so a step reads less memory too. A first call sees its own keys and
 * values unrounded. The codes of a position never change afterwards: nothing is rounded twice.
 */
export class QuantizedKvCache extends OrderedCache {
  readonly capacity: number;
  readonly #options: KvCacheOptions;
  readonly #keys: readonly Side[];
  readonly #values: readonly Side[];

  /** `dtype` is that of the keys and values which come; what is kept is bytes. */
  constructor(options: KvCacheOptions) {
    const { batch, capacity, numLayers, numKvHeads, headDim, valueDim = headDim, dtype = "f32", device } = options;
    expectCounts("QuantizedKvCache", { batch, capacity, numLayers, numKvHeads, headDim, valueDim });
    super(options);
    this.#options = options;
    this.capacity = capacity;
    const place = (dim: number): Side => ({
      codes: new State({ shape: [batch, numKvHeads, capacity, dim], dtype: "u8", device }),
      scales: new State({ shape: [batch, numKvHeads, capacity, 1], dtype: statisticsOf(dtype), device }),
    });
    this.#keys = Array.from({ length: numLayers }, () => place(headDim));
    this.#values = Array.from({ length: numLayers }, () => place(valueDim));
  }

  protected write(layer: number, { k, v }: Omit<NewHeads, "q">): void {
    this.#write(this.#keys[layer]!, k);
    this.#write(this.#values[layer]!, v);
  }

  protected kept(layer: number) {
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    return { k: keys.codes, v: values.codes, keyScales: keys.scales, valueScales: values.scales };
  }

  protected read(layer: number) {
    const numbers = ({ codes, scales }: Side) => codes.value.cast(scales.dtype).sub(128).mul(scales.value);
    return { k: numbers(this.#keys[layer]!), v: numbers(this.#values[layer]!) };
  }

  #write({ codes, scales }: Side, x: Tensor): void {
    const wide = x.cast(scales.dtype);
    const scale = wide.abs().max(-1, { keepDims: true }).div(127);
    // A position of zeros has scale 0 and codes of 128; dividing by 1 leaves them zero.
    const code = wide.div(scale.gt(0).where(scale, 1)).round().add(128).cast("u8");
    codes.set(writeRows({ cache: codes, x: code, starts: this.lengths }));
    scales.set(writeRows({ cache: scales, x: scale, starts: this.lengths }));
  }

  protected like(batch: number): this {
    return new QuantizedKvCache({ ...this.#options, batch }) as this;
  }

  protected cells(): State[] {
    return [...this.#keys, ...this.#values].flatMap(({ codes, scales }) => [codes, scales]);
  }
}
