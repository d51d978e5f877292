import type { Competitor, Prepared, Task } from "./competitor.ts";
import type { BabyWorkload, BlocksWorkload, GemmWorkload, RowsWorkload, Workload } from "./workloads.ts";

/** A task whose workload is of one kind. */
type TaskOf<Work extends Workload> = Omit<Task, "work"> & { work: Work };

type Ours = {
  [Kind in Workload["kind"]]?: (task: TaskOf<WorkOf<Kind>>) => Promise<Prepared>;
};

type WorkOf<Kind extends Workload["kind"]> = Kind extends "gemm"
  ? GemmWorkload
  : Kind extends "blocks"
    ? BlocksWorkload
    : Kind extends "baby"
      ? BabyWorkload
      : RowsWorkload;

/**
 * Our own side: one function per kind of work. Each makes a wasm device with `task.threads` threads (main counted),
 * puts `task.inputs` on it, and returns
 *
 * - `output()`: runs once and reads the result back; for `baby` the losses of the first `curveSteps` steps,
 *   from the weights in `task.inputs` (named as `babyShapes`) with the batches `babyBatch(step, task.seed)`;
 * - `sample()`: `timed(run)`, where `run` does one iteration to its end and frees what it made.
 *
 * A kind that is missing here is left out of the tables; nothing stands in for it.
 */
const ours: Ours = {};

export function competitor(): Competitor {
  return {
    version: () => "workspace",
    async prepare(task) {
      const prepare = ours[task.work.kind] as ((task: Task) => Promise<Prepared>) | undefined;
      return prepare?.(task);
    },
  };
}
