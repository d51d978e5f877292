/** What a device holds and has done so far, as the device itself counts it. */
export interface Counters {
  launches: number;
  allocations: number;
  liveBytes: number;
}

/** The counters of one step: launches and allocations made during it, bytes alive after it. */
export type StepCounters = Counters;

export interface Constancy {
  steps: number;
  /** The counters of the first step after warm-up, which all others are compared with. */
  first: StepCounters;
  /** The first step that differed, with its counters. Absent when every step was the same. */
  changed?: { step: number; counters: StepCounters };
}

/**
 * Runs `step` `warmup + steps` times and tells whether launches, allocations and live bytes per step stay the same
 * after the warm-up. `counters` reads the device; it must not itself launch or allocate.
 */
export async function constancy(
  step: () => Promise<unknown> | unknown,
  counters: () => Counters,
  { steps = 1000, warmup = 10 }: { steps?: number; warmup?: number } = {},
): Promise<Constancy> {
  for (let i = 0; i < warmup; i++) await step();
  let first: StepCounters | undefined;
  for (let i = 0; i < steps; i++) {
    const before = counters();
    await step();
    const after = counters();
    const taken: StepCounters = {
      launches: after.launches - before.launches,
      allocations: after.allocations - before.allocations,
      liveBytes: after.liveBytes,
    };
    first ??= taken;
    if (!same(first, taken)) return { steps: i + 1, first, changed: { step: warmup + i, counters: taken } };
  }
  if (!first) throw new Error(`constancy: expected at least 1 step, received ${steps}.`);
  return { steps, first };
}

function same(left: StepCounters, right: StepCounters): boolean {
  return left.launches === right.launches && left.allocations === right.allocations && left.liveBytes === right.liveBytes;
}
