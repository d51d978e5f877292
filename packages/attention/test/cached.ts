import { normal } from "@x/nn";
import { AlibiBias, RotaryPositions, SinusoidalPositions } from "@x/posenc";
import { arange, type Device, Generator, type Tensor, withDevice, withGenerator } from "@x/tensor";
import {
  type AttentionCache,
  type AttentionOptions,
  and,
  blocks,
  causal,
  KvCache,
  PagedKvCache,
  PagePool,
  QuantizedKvCache,
  SelfAttention,
  SlidingKvCache,
  TransformerXLAttention,
  type TransformerXLOptions,
  window,
} from "../src/index.ts";

/** Heads of the model below. */
export const heads = { numLayers: 2, numKvHeads: 2, headDim: 4 };

/** What computes a sequence at once, and over a cache. */
export interface Cached {
  whole(x: Tensor): Tensor;
  cached(x: Tensor, cache: AttentionCache): Tensor;
}

/** Two layers, one after the other, with shared heads, rotary positions, a bias by distance, a soft cap and a window: what a cache must serve. */
export class Pair implements Cached {
  readonly layers: readonly SelfAttention[];
  constructor(device: Device, options: Partial<AttentionOptions> = {}) {
    this.layers = withDevice(device, () => {
      const rotation = new RotaryPositions({ headDim: 4, maxLength: 256 });
      const own = { dim: 8, numHeads: 4, numKvHeads: 2, headDim: 4, causal: true, rotation, ...options };
      return withGenerator(new Generator({ seed: 3, device }), () => [new SelfAttention(own), new SelfAttention(own)]);
    });
  }
  whole(x: Tensor): Tensor {
    const positions = arange(x.shape[1]!, { device: x.device });
    return this.layers.reduce((y, layer) => y.add(layer.forward(y, { positions })), x);
  }
  cached(x: Tensor, cache: AttentionCache): Tensor {
    const count = x.shape[1]!;
    cache.checkRoom(x.shape);
    const positions = cache.positions(count);
    const y = this.layers.reduce(
      (y, layer, i) => y.add(layer.forward(y, { positions, cache: cache.layers[i], total: cache.length + count })),
      x,
    );
    cache.advance(count);
    return y;
  }
}
export const everything = (device: Device, sees: number): Pair =>
  withDevice(device, () => new Pair(device, { softcap: 3, distanceBias: new AlibiBias({ numHeads: 4 }), pattern: window(sees - 1) }));

/** Blocks of 3 positions, some of which look far back past others. */
export const pattern = () => and(causal(), blocks([[0], [1], [0, 2], [1, 3], [0, 3, 4], [5], [2, 6], [7, 0]], { size: 3 }));
export const inBlocks = (device: Device): Pair =>
  withDevice(device, () => new Pair(device, { softcap: 3, distanceBias: new AlibiBias({ numHeads: 4 }), pattern: pattern() }));

/** Transformer-XL's products, whose distances are clamped. */
export class XLPair implements Cached {
  readonly layers: readonly TransformerXLAttention[];
  constructor(device: Device, options: Partial<TransformerXLOptions> = {}) {
    this.layers = withDevice(device, () => {
      const distances = new SinusoidalPositions({ maxLength: 20, dim: 8, layout: "halves" });
      const own = { dim: 8, numHeads: 4, numKvHeads: 2, headDim: 4, distances, clampLength: 7, init: normal(0.3), ...options };
      return withGenerator(new Generator({ seed: 3, device }), () => [new TransformerXLAttention(own), new TransformerXLAttention(own)]);
    });
  }
  whole(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => y.add(layer.forward(y)), x);
  }
  cached(x: Tensor, cache: AttentionCache): Tensor {
    cache.checkRoom(x.shape);
    const y = this.layers.reduce((y, layer, i) => y.add(layer.forward(y, { cache: cache.layers[i] })), x);
    cache.advance(x.shape[1]!);
    return y;
  }
}

export interface Kind {
  readonly make: (batch: number, capacity: number, device: Device) => AttentionCache;
  /** How far it may be from exact. */
  readonly close: { readonly atol: number; readonly rtol: number };
}
const close = { atol: 3e-6, rtol: 2e-5 };
/** The window of the models that all kinds serve. */
export const sees = 4;
export const kinds: Readonly<Record<string, Kind>> = {
  contiguous: { make: (batch, capacity, device) => new KvCache({ batch, capacity, device, ...heads }), close },
  sliding: { make: (batch, capacity, device) => new SlidingKvCache({ batch, capacity, window: sees, device, ...heads }), close },
  "sliding, longer than the window": {
    make: (batch, _, device) => new SlidingKvCache({ batch, window: sees + 3, device, ...heads }),
    close,
  },
  "paged, 3 positions a page": {
    make: (batch, capacity, device) =>
      new PagedKvCache({ batch, capacity, pool: new PagePool({ pages: 60, pageSize: 3, device, ...heads }) }),
    close,
  },
  "paged, 4 positions a page": {
    make: (batch, capacity, device) =>
      new PagedKvCache({ batch, capacity, pool: new PagePool({ pages: 60, pageSize: 4, device, ...heads }) }),
    close,
  },
  quantized: {
    make: (batch, capacity, device) => new QuantizedKvCache({ batch, capacity, device, ...heads }),
    close: { atol: 0.03, rtol: 0.03 },
  },
};
