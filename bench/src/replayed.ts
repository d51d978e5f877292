import { Cell, compile, type Device, type DType, type Tensor } from "@x/tensor";
import { batched, joined, type Prepared, type Task } from "./competitor.ts";
import type { Inputs, Workload } from "./workloads.ts";

/** A task whose workload is of one kind, and the place where it is done. */
export type TaskOf<Work extends Workload> = Omit<Task, "work"> & Place & { work: Work };

/** The device of a task; where waiting for it is dear, iterations wait together. */
export interface Place {
  device: Device;
  waitIsDear: boolean;
  /** Of products and a softmax, where there is a fused form. */
  composed: boolean;
}

export const constant = (data: Float32Array, shape: readonly number[], dtype: DType = "f32"): Cell => new Cell({ shape, data, dtype });

/** Inputs of one shape by name, on the device. */
export const constants = <Name extends string>(inputs: Inputs, names: readonly Name[], shape: readonly number[]): Record<Name, Cell> =>
  Object.fromEntries(names.map((name) => [name, constant(inputs[name]!, shape)])) as Record<Name, Cell>;

/** A body without arguments as a compiled step: its results lie in memory of the plan, and are read on demand, one after another. */
export async function replayed({ device, waitIsDear }: Place, body: () => readonly Tensor[]): Promise<Prepared> {
  const step = compile<Record<string, never>, readonly Tensor[]>(() => body(), { name: "bench" });
  await step.prepare({});
  const once = () => {
    for (const result of step({})) result.dispose();
  };
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) once();
    await device.settled();
  };
  return {
    output: async () => joined(await Promise.all(step({}).map((result) => result.data()))),
    sample: batched(run, waitIsDear ? 20 : 0),
  };
}
