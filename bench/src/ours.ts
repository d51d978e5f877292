import { wasm } from "@x/kernels-wasm";
import { addLayerNorm, attention, geluTanh, layerNorm, softmax } from "@x/ops";
import { type Cell, type Device, setDefaultDevice, type Tensor } from "@x/tensor";
import type { Competitor, Prepared } from "./competitor.ts";
import type { demands as Demands } from "./dawn.ts";
import { prepareGPT } from "./ours-gpt.ts";
import { constant, replayed, type TaskOf } from "./replayed.ts";
import { type BlocksWorkload, blockShapes, type RowsWorkload, type Workload } from "./workloads.ts";

type Ours = {
  [Kind in Workload["kind"]]: (task: TaskOf<WorkOf<Kind>>) => Prepared | Promise<Prepared>;
};

/** The workload that a kind belongs to; one may have several. */
type WorkOf<Kind, Work = Workload> = Work extends { kind: infer Kinds } ? (Kind extends Kinds ? Work : never) : never;

/** Our own side: one function per kind of work. Each puts `task.inputs` on the device and hands over what runs and reads it. */
const ours: Ours = {
  gemm: ({ work: { m, k, n, dtype }, inputs, ...place }) => {
    const [a, b] = [constant(inputs.a!, [m, k], dtype), constant(inputs.b!, [k, n], dtype)];
    return replayed(place, () => [a.value.matmul(b)]);
  },
  softmax: (task) => rows(task, (x) => softmax({ x })),
  gelu: (task) => rows(task, (x) => geluTanh({ x })),
  layernorm: (task) => {
    const { inputs, work } = task;
    const [weight, bias] = [constant(inputs.weight!, [work.cols]), constant(inputs.bias!, [work.cols])];
    return rows(task, (x) => layerNorm({ x, weight, bias }));
  },
  // Their layers are loaded for this work alone.
  attention: async (task) => (await import("./ours-attention.ts")).prepareAttention(task),
  layer: async (task) => (await import("./ours-attention.ts")).prepareLayer(task),
  blockmap: async (task) => (await import("./ours-attention.ts")).prepareBlockMap(task),
  decode: async (task) => (await import("./ours-decode.ts")).prepareDecode(task),
  blocks: ({ work, inputs, ...place }) => {
    const x = constant(inputs.x!, [work.tokens, work.dim]);
    const weights = new Map(
      Array.from({ length: work.layers }, (_, layer) =>
        blockShapes(work.dim).map(([name, shape]) => [`${layer}.${name}`, constant(inputs[`${layer}.${name}`]!, shape)] as const),
      ).flat(),
    );
    return replayed(place, () => [blocksForward(work, x, weights)]);
  },
  gpt: prepareGPT,
};

function rows({ work, inputs, ...place }: TaskOf<RowsWorkload>, body: (x: Tensor) => Tensor): Promise<Prepared> {
  const x = constant(inputs.x!, [work.rows, work.cols]);
  return replayed(place, () => [body(x.value)]);
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

/** `variant` is the device, `wasm` or `webgpu`; with `-composed`, attention is made of products and a softmax there, and nothing else is done. */
export function competitor(variant = "wasm"): Competitor {
  const [place = "", form] = variant.split("-");
  return {
    version: () => "workspace",
    async prepare({ work, ...task }) {
      const composed = form === "composed";
      if (composed && work.kind !== "attention") return undefined;
      const { device, adapter, demands } = await open(place, task.threads);
      setDefaultDevice(device);
      const prepare = ours[work.kind] as (task: TaskOf<Workload>) => Promise<Prepared>;
      const prepared = await prepare({ ...task, work, device, waitIsDear: adapter !== undefined, composed });
      return {
        ...prepared,
        ...(adapter && { adapter }),
        peakBytes: () => device.memory().peak,
        ...(demands && work.kind === "gpt" && { demands: () => demands(prepared.sample) }),
        close: () => device.close(),
      };
    },
  };
}
