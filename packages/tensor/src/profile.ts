/** One launch as a driver saw it, in microseconds from the first one. */
export interface LaunchTime {
  readonly kernel: string;
  readonly start: number;
  readonly duration: number;
}

/** What `device.profile` gives: the result of what was run, and where its time went. */
export class Profile<R = unknown> {
  readonly result: R;
  readonly device: string;
  /** In order. Where the hardware has no clock of its own, start and duration are NaN and only the names tell something. */
  readonly launches: readonly LaunchTime[];

  constructor(result: R, device: string, launches: readonly LaunchTime[]) {
    this.result = result;
    this.device = device;
    this.launches = launches;
  }

  /** Microseconds and launches of each kernel, the costliest first. */
  get kernels(): readonly { readonly kernel: string; readonly launches: number; readonly time: number }[] {
    const sums = new Map<string, { launches: number; time: number }>();
    for (const { kernel, duration } of this.launches) {
      const sum = sums.get(kernel) ?? { launches: 0, time: 0 };
      sums.set(kernel, { launches: sum.launches + 1, time: sum.time + duration });
    }
    return [...sums].map(([kernel, sum]) => ({ kernel, ...sum })).sort((a, b) => b.time - a.time || b.launches - a.launches);
  }

  /** The launches in Chrome's trace event format: write it to a file and open it in chrome://tracing or Perfetto. */
  chromeTrace(): string {
    const traceEvents = this.launches
      .filter(({ duration }) => Number.isFinite(duration))
      .map(({ kernel, start, duration }) => ({ name: kernel, cat: "kernel", ph: "X", ts: start, dur: duration, pid: 1, tid: 1 }));
    const named = { name: "process_name", ph: "M", pid: 1, args: { name: this.device } };
    return JSON.stringify({ displayTimeUnit: "ms", traceEvents: [named, ...traceEvents] });
  }
}
