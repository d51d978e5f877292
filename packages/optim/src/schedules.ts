import { TensorError } from "@x/tensor";

/** The learning rate of step 0, 1, 2, ... Pure: what a step passes to the optimizer, and all that a resumed run needs. */
export type Schedule = (step: number) => number;

export interface WarmUp {
  /** The highest learning rate, reached at step `warmup`. */
  readonly lr: number;
  readonly warmup?: number;
  /** The rate of step 0, from which warm-up rises linearly; 0 if absent. nanoGPT's is lr / (warmup + 1). */
  readonly warmupFrom?: number;
}

export interface Decay extends WarmUp {
  /** Steps in all, warm-up included; from there on the last rate holds. A run shorter than its warm-up ends within it. */
  readonly steps: number;
  /** The rate at the end; 0 if absent. */
  readonly minLr?: number;
}

/** Warm-up, then `after(s)` of the rate above `floor`, s counting from the end of warm-up. */
function schedule({ lr, warmup = 0, warmupFrom = 0 }: WarmUp, floor: number, after: (s: number) => number): Schedule {
  for (const [name, value] of Object.entries({ lr, warmup, warmupFrom, minLr: floor }))
    if (!(Number.isFinite(value) && value >= 0)) throw new TensorError(`schedule: ${name} must be a number of at least 0, got ${value}.`);
  return (step) => {
    if (!(step >= 0)) throw new TensorError(`schedule: steps count from 0, got ${step}.`);
    if (step < warmup) return warmupFrom + (lr - warmupFrom) * (step / warmup);
    return floor + (lr - floor) * after(step - warmup);
  };
}

/** s as a share of `length` steps, at most 1; a length of 0 is over at once. */
const share = (s: number, length: number): number => (s >= length ? 1 : s / length);

function decaying(options: Decay, factor: (progress: number) => number): Schedule {
  const { steps, warmup = 0, minLr = 0 } = options;
  if (!(steps >= 0)) throw new TensorError(`schedule: steps must be at least 0, got ${steps}.`);
  return schedule(options, minLr, (s) => factor(share(s, steps - warmup)));
}

/** Warm-up, then `lr` throughout. */
export const constantSchedule = (options: WarmUp): Schedule => schedule(options, 0, () => 1);

/** Warm-up, then a straight line down to `minLr`. */
export const linearSchedule = (options: Decay): Schedule => decaying(options, (progress) => 1 - progress);

/** Warm-up, then `cycles` (half a one) of a cosine between `lr` and `minLr`. Loshchilov and Hutter 2017, arXiv 1608.03983. */
export function cosineSchedule({ cycles = 0.5, ...options }: Decay & { readonly cycles?: number }): Schedule {
  return decaying(options, (progress) => 0.5 * (1 + Math.cos(2 * Math.PI * cycles * progress)));
}

/** nanoGPT's: `cosineSchedule` whose warm-up starts at lr / (warmup + 1), so that step 0 already learns. */
export const nanoGptCosine = (options: Decay): Schedule =>
  cosineSchedule({ ...options, warmupFrom: options.lr / ((options.warmup ?? 0) + 1) });

const shapes = {
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number) => 0.5 * (1 + Math.cos(Math.PI * progress)),
  "1-sqrt": (progress: number) => 1 - Math.sqrt(progress),
};

export interface WarmupStableDecay extends WarmUp {
  readonly stable: number;
  readonly decay: number;
  readonly minLr?: number;
  readonly shape?: keyof typeof shapes;
}

/** Warm-up, `lr` for `stable`, then down to `minLr` within `decay`, where it stays. Haegele et al. 2024, arXiv 2405.18392. */
export function wsdSchedule({ stable, decay, minLr = 0, shape = "linear", ...warmUp }: WarmupStableDecay): Schedule {
  if (!(stable >= 0 && decay >= 0)) throw new TensorError(`wsdSchedule: stable and decay must be at least 0, got ${stable} and ${decay}.`);
  return schedule(warmUp, minLr, (s) => (s < stable ? 1 : shapes[shape](share(s - stable, decay))));
}

/** Warm-up, then lr sqrt(timescale / (s + timescale)), s counting from its end; `timescale` is the warm-up's length, or 10,000 without one. */
export function inverseSqrtSchedule({ timescale, ...warmUp }: WarmUp & { readonly timescale?: number }): Schedule {
  const scale = timescale ?? (warmUp.warmup || 10_000);
  if (!(scale > 0)) throw new TensorError(`inverseSqrtSchedule: timescale must be above 0, got ${scale}.`);
  return schedule(warmUp, 0, (s) => 1 / Math.sqrt((s + scale) / scale));
}
