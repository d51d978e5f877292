import { AlibiBias, RotaryPositions } from "@x/posenc";
import { arange, type Device, Generator, type Tensor, withDevice, withGenerator } from "@x/tensor";
import {
  type AttentionCache,
  type AttentionOptions,
  KvCache,
  PagedKvCache,
  PagePool,
  QuantizedKvCache,
  SelfAttention,
  SlidingKvCache,
  window,
} from "../src/index.ts";

/** Heads of the model below. */
export const heads = { numLayers: 2, numKvHeads: 2, headDim: 4 };

/** Two layers, one after the other, with shared heads, rotary positions, a bias by distance, a soft cap and a window: what a cache must serve. */
export class Pair {
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
