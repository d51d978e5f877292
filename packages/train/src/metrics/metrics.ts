/** What is measured at a step, under the names of the command line: `loss`, `lr`, `tokensPerSecond`, `valLoss`. */
export interface MetricsRecord {
  /** Steps completed when it was measured. */
  readonly step: number;
  readonly [name: string]: number | string | boolean | undefined;
}

/** Takes records as they come, in the order of their steps. What `write` has taken survives the end of the process. */
export interface MetricsSink {
  write(record: MetricsRecord): void;
  close(): void;
}

/** One sink of several: each record goes to all, in order. Closing closes them all, and then throws what went wrong first. */
export function metrics(sinks: readonly MetricsSink[]): MetricsSink {
  return {
    write(record) {
      for (const sink of sinks) sink.write(record);
    },
    close() {
      const errors: unknown[] = [];
      for (const sink of sinks) {
        try {
          sink.close();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw errors[0];
    },
  };
}
