import { nextMemory } from "@x/attention";
import { expectCounts, SequenceState } from "@x/nn";
import { type Device, noGrad, State, scope, Tensor, TensorError, zeros } from "@x/tensor";

export interface SegmentMemoryOptions {
  readonly batch: number;
  /** Positions that may come, padding included; no limit if absent. */
  readonly capacity?: number;
  readonly numLayers: number;
  readonly dim: number;
  /** Positions that are remembered; with 0 none are. */
  readonly memoryLength: number;
  /** What stands before the first token: nothing, or `memoryLength` zeros that are seen. */
  readonly initMemory: "empty" | "zeros";
  readonly device?: Device | undefined;
}

/**
 * What entered each layer at the last `memoryLength` positions, [batch, memoryLength, dim] per layer, the latest last; it takes no gradient. Which positions hold something is told by cells, so no shape changes as it fills. Rows may be
 * padded on the left: padding is never seen. It goes on for ever, in training from batch to batch, and writing a text token by token. Dai et al. 2019, arXiv 1901.02860, section 3.2.
 */
export class SegmentMemory extends SequenceState {
  readonly capacity: number;
  /** Positions that are kept: no more than can come, unless zeros stand before them. */
  readonly slots: number;
  readonly #options: SegmentMemoryOptions;
  readonly #layers: readonly State[];

  constructor(options: SegmentMemoryOptions) {
    const { batch, capacity = Number.POSITIVE_INFINITY, numLayers, dim, memoryLength, initMemory, device } = options;
    expectCounts("SegmentMemory", { numLayers, dim, ...(Number.isFinite(capacity) && { capacity }) });
    super(batch, device);
    this.#options = options;
    this.capacity = capacity;
    this.slots = initMemory === "zeros" ? memoryLength : Math.min(memoryLength, capacity);
    this.#layers =
      this.slots === 0 ? [] : Array.from({ length: numLayers }, () => new State({ shape: [batch, this.slots, dim], dtype: "f32", device }));
  }

  /** [batch, slots, dim]: what a layer remembers. */
  memory(layer: number): Tensor | undefined {
    return this.#layers[layer]?.value;
  }

  /** bool [batch, slots + count]: what may be seen of the memory and of `count` new positions; undefined: everything. */
  keyMask(count: number): Tensor | undefined {
    const zeros = this.#options.initMemory === "zeros";
    if (zeros && !this.isPadded) return undefined;
    // Of the zeros as many are seen as a row without padding would see.
    const first = zeros ? this.padding.value.sub(this.slots) : this.padding.value;
    return this.next(count, this.slots).ge(first.unsqueeze(1));
  }

  /** x [batch, count, dim] that enters a layer, where padding stands for the zeros before the first token. */
  entering(x: Tensor): Tensor {
    const real = this.#options.initMemory === "zeros" ? this.present(this.next(x.shape[1]!)) : undefined;
    if (!real) return x;
    return real.unsqueeze(-1).expand(x.shape).where(x, 0);
  }

  /** Remembers what entered each layer [batch, count, dim], once a forward, without gradient. */
  remember(inputs: readonly Tensor[]): void {
    noGrad(() => {
      for (const [i, cell] of this.#layers.entries()) cell.set(nextMemory(cell.value, inputs[i]!.cast(cell.dtype), this.slots));
      this.advance(inputs[0]!.shape[1]!);
    });
  }

  /** To the beginning, or as long as nothing has been forgotten: what fell out of the memory does not come back. */
  protected override forget(length: number): void {
    if (length > 0 && this.length > this.slots)
      throw new TensorError(
        `SegmentMemory.truncate: ${length} positions need what came before them, but of the ${this.length} that were filled the last ${this.slots} are kept. Fork the state where you may want to come back to, or reset it.`,
      );
    const back = Math.min(this.length - length, this.slots);
    if (back > 0)
      scope(() => {
        for (const cell of this.#layers) {
          const [batch, slots, dim] = cell.shape as [number, number, number];
          const before = zeros([batch, back, dim], { device: cell.device });
          cell.set(Tensor.concat([before, cell.value.slice(1, 0, slots - back)], 1));
        }
      });
  }

  protected like(batch: number): this {
    return new SegmentMemory({ ...this.#options, batch }) as this;
  }

  protected cells(): readonly State[] {
    return this.#layers;
  }
}
