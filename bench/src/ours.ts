import { wasm } from "@x/kernels-wasm";
import { addLayerNorm, attention, geluTanh, layerNorm, softmax } from "@x/ops";
import { Cell, compile, type Device, type DType, setDefaultDevice, type Tensor } from "@x/tensor";
import { batched, type Competitor, type Prepared, type Task } from "./competitor.ts";
import type { demands as Demands } from "./dawn.ts";
import { prepareGPT } from "./ours-gpt.ts";
import {
  type AttentionWorkload,
  type BlocksWorkload,
  blockShapes,
  type GemmWorkload,
  type GPTWorkload,
  type RowsWorkload,
  type Workload,
} from "./workloads.ts";

/** A task whose workload is of one kind, and the place where it is done. */
type TaskOf<Work extends Workload> = Omit<Task, "work"> & Place & { work: Work };

/** The device of a task; where waiting for it is dear, iterations wait together. */
interface Place {
  device: Device;
  waitIsDear: boolean;
}

type Ours = {
  [Kind in Workload["kind"]]: (task: TaskOf<WorkOf<Kind>>) => Prepared | Promise<Prepared>;
};

type WorkOf<Kind extends Workload["kind"]> = Kind extends "gemm"
  ? GemmWorkload
  : Kind extends "blocks"
    ? BlocksWorkload
    : Kind extends "gpt"
      ? GPTWorkload
      : Kind extends "attention"
        ? AttentionWorkload
        : RowsWorkload;

/** Our own side: one function per kind of work. Each puts `task.inputs` on the device and hands over what runs and reads it. */
const ours: Ours = {
  gemm: ({ work: { m, k, n, dtype }, inputs, ...place }) => {
    const [a, b] = [constant(inputs.a!, [m, k], dtype), constant(inputs.b!, [k, n], dtype)];
    return replayed(place, () => a.value.matmul(b));
  },
  softmax: (task) => rows(task, (x) => softmax({ x })),
  gelu: (task) => rows(task, (x) => geluTanh({ x })),
  layernorm: (task) => {
    const { inputs, work } = task;
    const [weight, bias] = [constant(inputs.weight!, [work.cols]), constant(inputs.bias!, [work.cols])];
    return rows(task, (x) => layerNorm({ x, weight, bias }));
  },
  attention: ({ work: { heads, tokens, width, causal }, inputs, ...place }) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => constant(inputs[name]!, [1, heads, tokens, width])) as [Cell, Cell, Cell];
    return replayed(place, () => attention({ q, k, v }, { scale: 1 / Math.sqrt(width), causal }));
  },
  blocks: ({ work, inputs, ...place }) => {
    const x = constant(inputs.x!, [work.tokens, work.dim]);
    const weights = new Map(
      Array.from({ length: work.layers }, (_, layer) =>
        blockShapes(work.dim).map(([name, shape]) => [`${layer}.${name}`, constant(inputs[`${layer}.${name}`]!, shape)] as const),
      ).flat(),
    );
    return replayed(place, () => blocksForward(work, x, weights));
  },
  gpt: prepareGPT,
};

const constant = (data: Float32Array, shape: readonly number[], dtype: DType = "f32"): Cell => new Cell({ shape, data, dtype });

/** A body without arguments as a compiled step: its result lies in memory of the plan, and is read on demand. */
async function replayed({ device, waitIsDear }: Place, body: () => Tensor): Promise<Prepared> {
  const step = compile<Record<string, never>, Tensor>(() => body(), { name: "bench" });
  await step.prepare({});
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) step({}).dispose();
    await device.settled();
  };
  return { output: async () => (await step({}).data()) as Float32Array, sample: batched(run, waitIsDear ? 20 : 0) };
}

function rows({ work, inputs, ...place }: TaskOf<RowsWorkload>, body: (x: Tensor) => Tensor): Promise<Prepared> {
  const x = constant(inputs.x!, [work.rows, work.cols]);
  return replayed(place, () => body(x.value));
}

function blocksForward({ layers, heads, dim, tokens }: BlocksWorkload, input: Cell, weights: ReadonlyMap<string, Cell>): Tensor {
  let x = input.value;
  const at = (layer: number, name: string) => weights.get(`${layer}.${name}`)!;
  for (let layer = 0; layer < layers; layer++) {
    const n1 = layerNorm({ x, weight: at(layer, "norm1") });
    const qkv = n1
      .matmul(at(layer, "wqkv"))
      .reshape([1, tokens, 3, heads, dim / heads])
      .permute([2, 0, 3, 1, 4]);
    const [q, k, v] = qkv.split(0, 3).map((part) => part.squeeze(0)) as [Tensor, Tensor, Tensor];
    const o = attention({ q, k, v }, { scale: 1 / Math.sqrt(dim / heads) })
      .permute([0, 2, 1, 3])
      .reshape([tokens, dim]);
    const { y, sum } = addLayerNorm({ x: o.matmul(at(layer, "wo")), residual: x, weight: at(layer, "norm2") });
    x = sum.add(geluTanh({ x: y.matmul(at(layer, "wfc")) }).matmul(at(layer, "wproj")));
  }
  return x;
}

/** A device of ours, and what tells of its GPU where it has one. */
async function open(variant: string, threads: number): Promise<{ device: Device; adapter?: string; demands?: typeof Demands }> {
  if (variant === "wasm") return { device: await wasm({ threads }) };
  const [{ adapterName, demands }, { adapterOf, webgpu }] = await Promise.all([import("./dawn.ts"), import("@x/kernels-webgpu")]);
  const device = await webgpu();
  return { device, adapter: adapterName(adapterOf(device)), demands };
}

/** `variant` is the device: `wasm` or `webgpu`. */
export function competitor(variant = "wasm"): Competitor {
  return {
    version: () => "workspace",
    async prepare({ work, ...task }) {
      const { device, adapter, demands } = await open(variant, task.threads);
      setDefaultDevice(device);
      const prepare = ours[work.kind] as (task: TaskOf<Workload>) => Promise<Prepared>;
      const prepared = await prepare({ ...task, work, device, waitIsDear: adapter !== undefined });
      return {
        ...prepared,
        ...(adapter && { adapter, peakBytes: () => device.memory().peak }),
        ...(demands && work.kind === "gpt" && { demands: () => demands(prepared.sample) }),
        close: () => device.close(),
      };
    },
  };
}
