import { TensorError } from "@x/tensor";

/** The learning rate of step 0, 1, 2, ... Pure: what a step passes to the optimizer, and all that a resumed run needs. */
export type Schedule = (step: number) => number;

export interface WarmUp {
  /** The highest rate, reached at step `warmupSteps`. */
  readonly rate: number;
  readonly warmupSteps?: number;
  /** The rate of step 0, from which warm-up rises linearly; 0 if absent. nanoGPT's is rate / (warmupSteps + 1). */
  readonly warmupFrom?: number;
}

export interface Decay extends WarmUp {
  /** Steps in all, warm-up included; from there on the last rate holds. */
  readonly totalSteps: number;
  /** The rate at the end; 0 if absent. */
  readonly minRate?: number;
}

/** Warm-up, then `after(s)` of the rate above `floor`, s counting from the end of warm-up. */
function schedule({ rate, warmupSteps = 0, warmupFrom = 0 }: WarmUp, floor: number, after: (s: number) => number): Schedule {
  for (const [name, value] of Object.entries({ rate, warmupSteps, warmupFrom, minRate: floor }))
    if (!(Number.isFinite(value) && value >= 0)) throw new TensorError(`schedule: ${name} must be a number of at least 0, got ${value}.`);
  return (step) => {
    if (!(step >= 0)) throw new TensorError(`schedule: steps count from 0, got ${step}.`);
    if (step < warmupSteps) return warmupFrom + (rate - warmupFrom) * (step / warmupSteps);
    return floor + (rate - floor) * after(step - warmupSteps);
  };
}

/** s as a share of `length` steps, at most 1; a length of 0 is over at once. */
const share = (s: number, length: number): number => (s >= length ? 1 : s / length);

function decaying(who: string, options: Decay, factor: (progress: number) => number): Schedule {
  const length = options.totalSteps - (options.warmupSteps ?? 0);
  if (!(length >= 0))
    throw new TensorError(`${who}: totalSteps must be at least warmupSteps ${options.warmupSteps}, got ${options.totalSteps}.`);
  return schedule(options, options.minRate ?? 0, (s) => factor(share(s, length)));
}

/** Warm-up, then `rate` throughout. */
export const constantSchedule = (options: WarmUp): Schedule => schedule(options, 0, () => 1);

/** Warm-up, then a straight line down to `minRate`. */
export const linearSchedule = (options: Decay): Schedule => decaying("linearSchedule", options, (progress) => 1 - progress);

/** Warm-up, then `cycles` (half a one) of a cosine between `rate` and `minRate`. Loshchilov and Hutter 2017, arXiv 1608.03983. */
export function cosineSchedule({ cycles = 0.5, ...options }: Decay & { readonly cycles?: number }): Schedule {
  return decaying("cosineSchedule", options, (progress) => 0.5 * (1 + Math.cos(2 * Math.PI * cycles * progress)));
}

const shapes = {
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number) => 0.5 * (1 + Math.cos(Math.PI * progress)),
  "1-sqrt": (progress: number) => 1 - Math.sqrt(progress),
};

export interface WarmupStableDecay extends WarmUp {
  readonly stableSteps: number;
  readonly decaySteps: number;
  readonly minRate?: number;
  readonly shape?: keyof typeof shapes;
}

/** Warm-up, `rate` for `stableSteps`, then down to `minRate` within `decaySteps`, where it stays. Haegele et al. 2024, arXiv 2405.18392. */
export function wsdSchedule({ stableSteps, decaySteps, minRate = 0, shape = "linear", ...warmUp }: WarmupStableDecay): Schedule {
  if (!(stableSteps >= 0 && decaySteps >= 0))
    throw new TensorError(`wsdSchedule: stableSteps and decaySteps must be at least 0, got ${stableSteps} and ${decaySteps}.`);
  return schedule(warmUp, minRate, (s) => (s < stableSteps ? 1 : shapes[shape](share(s - stableSteps, decaySteps))));
}

/** Warm-up, then rate sqrt(timescale / (s + timescale)), s counting from its end; `timescale` is the warm-up's length, or 10,000 without one. */
export function inverseSqrtSchedule({ timescale, ...warmUp }: WarmUp & { readonly timescale?: number }): Schedule {
  const scale = timescale ?? (warmUp.warmupSteps || 10_000);
  if (!(scale > 0)) throw new TensorError(`inverseSqrtSchedule: timescale must be above 0, got ${scale}.`);
  return schedule(warmUp, 0, (s) => 1 / Math.sqrt((s + scale) / scale));
}
