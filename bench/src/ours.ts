import { wasm } from "@x/kernels-wasm";
import { GPT2 } from "@x/models";
import { loadStateDict } from "@x/nn";
import { addLayerNorm, attention, geluTanh, layerNorm, softmax } from "@x/ops";
import { adamW } from "@x/optim";
import { Cell, compile, type Device, setDefaultDevice, type Tensor } from "@x/tensor";
import { languageLoss, tokenBatch, trainStep } from "@x/train";
import { baby, babyBatch, curveSteps } from "./baby.ts";
import { type Competitor, type Prepared, type Task, timed } from "./competitor.ts";
import { type Constancy, constancy } from "./constancy.ts";
import {
  type BabyWorkload,
  type BlocksWorkload,
  blockShapes,
  type GemmWorkload,
  type Inputs,
  type RowsWorkload,
  type Workload,
} from "./workloads.ts";

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
const ours: Ours = {
  gemm: async ({ work: { m, k, n }, inputs, threads }) => {
    const device = await open(threads);
    const [a, b] = [constant(inputs.a!, [m, k]), constant(inputs.b!, [k, n])];
    return replayed(device, () => a.value.matmul(b));
  },
  softmax: (task) => rows(task, (x) => softmax({ x })),
  gelu: (task) => rows(task, (x) => geluTanh({ x })),
  layernorm: (task) => {
    const [weight, bias] = [task.inputs.weight!, task.inputs.bias!];
    let cells: { weight: Cell; bias: Cell } | undefined;
    return rows(
      task,
      (x) => {
        const { weight: w, bias: b } = cells!;
        return layerNorm({ x, weight: w, bias: b });
      },
      () => {
        cells = { weight: constant(weight, [weight.length]), bias: constant(bias, [bias.length]) };
      },
    );
  },
  blocks: async ({ work, inputs, threads }) => {
    const device = await open(threads);
    const x = constant(inputs.x!, [work.tokens, work.dim]);
    const weights = new Map(
      Array.from({ length: work.layers }, (_, layer) =>
        blockShapes(work.dim).map(([name, shape]) => [`${layer}.${name}`, constant(inputs[`${layer}.${name}`]!, shape)] as const),
      ).flat(),
    );
    return replayed(device, () => blocksForward(work, x, weights));
  },
  baby: prepareBaby,
};

const open = async (threads: number): Promise<Device> => {
  const device = await wasm({ threads });
  setDefaultDevice(device);
  return device;
};
const constant = (data: Float32Array, shape: readonly number[]): Cell => new Cell({ shape, data });

/** A body without arguments as a compiled step: its result lies in memory of the plan, and is read on demand. */
function replayed(device: Device, body: () => Tensor): Prepared {
  const step = compile<Record<string, never>, Tensor>(() => body(), { name: "bench" });
  return {
    output: async () => (await step({}).data()) as Float32Array,
    sample: timed(() => step({}).dispose()),
    close: () => device.close(),
  };
}

async function rows(
  { work, inputs, threads }: TaskOf<RowsWorkload>,
  body: (x: Tensor) => Tensor,
  ready: () => void = () => {},
): Promise<Prepared> {
  const device = await open(threads);
  ready();
  const x = constant(inputs.x!, [work.rows, work.cols]);
  return replayed(device, () => body(x.value));
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

/** The model of `baby.ts` as our GPT2, its weights under our names, and one training step of it. */
async function babyRun({
  inputs,
  threads,
  seed,
}: Pick<Task, "inputs" | "threads" | "seed">): Promise<{ device: Device; run(index: number): Promise<number> }> {
  const device = await open(threads);
  const { layers: numLayers, heads: numHeads, dim, context: maxLength, vocabulary: vocabSize, batch } = baby;
  const model = new GPT2({ vocabSize, maxLength, dim, numLayers, numHeads, activation: "geluTanh" });
  loadStateDict(model, babyState(inputs));
  const optimizer = adamW({ betas: [baby.beta1, baby.beta2], eps: baby.eps, weightDecay: baby.decay }).init(model.namedParameters());
  const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm: baby.clip, device });
  const run = async (index: number): Promise<number> => {
    const { x, y } = babyBatch(index, seed);
    const readings = step(tokenBatch({ inputs: x, targets: y, shape: [batch, maxLength] }), { lr: baby.rate });
    const loss = await readings.loss.item();
    for (const reading of Object.values(readings)) reading.dispose();
    return loss;
  };
  return { device, run };
}

async function prepareBaby(task: TaskOf<BabyWorkload>): Promise<Prepared> {
  const { device, run } = await babyRun(task);
  let next = 0;
  return {
    async output() {
      const losses = new Float32Array(curveSteps);
      for (; next < curveSteps; next++) losses[next] = await run(next);
      return losses;
    },
    sample: timed(() => run(next++)),
    close: () => device.close(),
  };
}

/** Launches, allocations and live bytes of a `baby` step over many. */
export async function babyConstancy(task: Pick<Task, "inputs" | "threads" | "seed">, steps: number): Promise<Constancy> {
  const { device, run } = await babyRun(task);
  let next = 0;
  const counters = () => {
    const { allocations, live } = device.memory();
    return { launches: device.figures.launches, allocations, liveBytes: live };
  };
  try {
    return await constancy(() => run(next++), counters, { steps });
  } finally {
    device.close();
  }
}

/** Weights [in, out] with joined projections, as our modules keep them: [out, in], apart. */
function babyState(inputs: Inputs): Map<string, { shape: number[]; values: Float32Array }> {
  const { dim } = baby;
  const state = new Map<string, { shape: number[]; values: Float32Array }>();
  const put = (name: string, values: Float32Array, shape: number[]) => state.set(name, { shape, values });
  const linear = (name: string, weight: Float32Array, bias: Float32Array, from: number, to: number, width = to, start = 0) => {
    put(`${name}.weight`, transposed(weight, from, width, start, to), [to, from]);
    put(`${name}.bias`, bias.slice(start, start + to), [to]);
  };
  put("tokens.weight", inputs.tokens!, [baby.vocabulary, dim]);
  put("positions.weight", inputs.positions!, [baby.context, dim]);
  for (let i = 0; i < baby.layers; i++) {
    const given = (name: string) => inputs[`${i}.${name}`]!;
    for (const norm of ["norm1", "norm2"])
      for (const part of ["weight", "bias"]) put(`blocks.${i}.${norm}.${part}`, given(`${norm}.${part}`), [dim]);
    for (const [j, name] of ["query", "key", "value"].entries())
      linear(`blocks.${i}.attention.${name}`, given("qkv"), given("qkv.bias"), dim, dim, 3 * dim, j * dim);
    linear(`blocks.${i}.attention.output`, given("out"), given("out.bias"), dim, dim);
    linear(`blocks.${i}.mlp.input`, given("up"), given("up.bias"), dim, 4 * dim);
    linear(`blocks.${i}.mlp.output`, given("down"), given("down.bias"), 4 * dim, dim);
  }
  for (const part of ["weight", "bias"]) put(`norm.${part}`, inputs[`norm.${part}`]!, [dim]);
  return state;
}

/** Columns start ... start + to of a row-major [from, width] matrix, as rows. */
function transposed(weight: Float32Array, from: number, width: number, start: number, to: number): Float32Array {
  const out = new Float32Array(from * to);
  for (let r = 0; r < from; r++) for (let c = 0; c < to; c++) out[c * from + r] = weight[r * width + start + c]!;
  return out;
}

export function competitor(): Competitor {
  return {
    version: () => "workspace",
    async prepare(task) {
      const prepare = ours[task.work.kind] as ((task: Task) => Promise<Prepared>) | undefined;
      return prepare?.(task);
    },
  };
}
