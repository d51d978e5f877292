import { type Cell, type Device, State, type Tensor, TensorError } from "@x/tensor";

/** How the loss scale follows what overflows; the defaults are torch.amp.GradScaler's. */
export interface LossScaling {
  /** 2 ** 16 if absent. */
  readonly initial?: number;
  /** What the scale is multiplied by after `interval` updates in a row; 2 if absent. */
  readonly growth?: number;
  /** What it is multiplied by when loss or gradient is not finite; 0.5 if absent. */
  readonly backoff?: number;
  /** 2000 if absent. */
  readonly interval?: number;
}

/** Beyond these a scale does no good: below, a mean gradient of 1 would be subnormal in f16; and what grew to infinity could not come back. */
const [lowest, highest] = [2 ** -14, 2 ** 64];

/**
 * The factor on the mean loss that keeps small gradients from vanishing in f16, where nothing below 6e-8 is left. It lives and changes on the device: halved where a step overflowed,
 * doubled after many that did not. Micikevicius et al. 2018, arXiv 1710.03740.
 */
export class LossScaler {
  readonly #scale: State;
  readonly #good: State;
  readonly #growth: number;
  readonly #backoff: number;
  readonly #interval: number;

  constructor({ initial = 2 ** 16, growth = 2, backoff = 0.5, interval = 2000 }: LossScaling, device: Device) {
    const expect = (name: string, value: number, fits: boolean, words: string) => {
      if (!fits) throw new TensorError(`trainStep: lossScaling.${name} must be ${words}, got ${value}.`);
    };
    expect("initial", initial, initial >= lowest && initial <= highest, "from 2 ** -14 to 2 ** 64");
    expect("growth", growth, growth >= 1 && Number.isFinite(growth), "a finite number from 1");
    expect("backoff", backoff, backoff > 0 && backoff < 1, "between 0 and 1");
    expect("interval", interval, Number.isSafeInteger(interval) && interval >= 1, "a whole number from 1");
    this.#scale = new State({ shape: [], device, data: [initial] });
    this.#good = new State({ shape: [], dtype: "i32", device });
    this.#growth = growth;
    this.#backoff = backoff;
    this.#interval = interval;
  }

  /** The scale of this step, f32 []: a loan until `update`. */
  get scale(): Tensor {
    return this.#scale.value;
  }

  /** After the update: where it was skipped the scale falls, and where enough in a row were not it rises. */
  update(skip: Tensor): void {
    const [scale, good] = [this.scale, this.#good.value];
    const inRow = skip.where(good.zerosLike(), good.add(1));
    const grows = inRow.ge(this.#interval);
    const next = skip.where(scale.mul(this.#backoff), grows.where(scale.mul(this.#growth), scale));
    const row = grows.where(good.zerosLike(), inRow);
    this.#scale.set(next.maximum(lowest).minimum(highest));
    this.#good.set(row);
  }

  states(): ReadonlyMap<string, Cell> {
    return new Map([
      ["loss_scale", this.#scale],
      ["loss_scale.good_steps", this.#good],
    ]);
  }
}
