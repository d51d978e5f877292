import { type Device, hostConstant, type Tensor } from "@x/tensor";
import { recent } from "./recent.ts";

type Heads = Readonly<Record<"q" | "k" | "v", Tensor>>;

/** A layer's part of a cache, as those of `@x/attention` are (`KvCache`, `SlidingKvCache`, ...): its LayerCache by shape, so that nothing is imported that a model does not use. */
export interface WindowCache {
  attend(
    heads: Heads,
    look: {
      readonly scale: number;
      readonly softcap: number;
      /** Keys a query sees, its own the last. */
      readonly window: number;
      /** What is added by distance, [numHeads, 2 reach + 1]. */
      bias(reach: number): Tensor | undefined;
      /** Attention of a first call, which sees nothing but itself; keyMask bool [batch, n] is false at the padding. */
      whole(heads: Heads, keyMask: Tensor | undefined): Tensor;
    },
  ): Tensor;
}

/** Dilated windows as scores by distance: what stands between the keys of a window is so far below them that it weighs nothing. */
export class DilationBias {
  readonly #steps: readonly number[];
  readonly #reach: number;
  readonly #tables = new WeakMap<Device, Map<string, Tensor>>();

  /** Steps of each head, and how many keys its window has before a query. */
  constructor(steps: readonly number[], reach: number) {
    this.#steps = steps;
    this.#reach = reach;
  }

  /** The distance of the farthest key that any head sees. */
  get farthest(): number {
    return this.#reach * Math.max(...this.#steps);
  }

  /** f32 [heads, 2 reach + 1], entry d + reach where a key stands d after its query; undefined where no window steps over anything. */
  table(reach: number, device: Device): Tensor | undefined {
    if (this.#steps.every((step) => step === 1)) return undefined;
    const kept = this.#tables.get(device) ?? new Map<string, Tensor>();
    this.#tables.set(device, kept);
    return recent(kept, String(reach), () => {
      const rows = this.#steps.map((step) =>
        Float32Array.from({ length: 2 * reach + 1 }, (_, entry) => {
          const back = reach - entry;
          return back % step === 0 && back <= this.#reach * step ? 0 : -1e30;
        }),
      );
      const data = rows.flatMap((row) => [...row]);
      return hostConstant(data, { shape: [rows.length, 2 * reach + 1], device });
    });
  }
}
