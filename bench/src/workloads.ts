import {
  type AttentionWorkload,
  attentionWorks,
  type BlockMapWorkload,
  type DecodeWorkload,
  type LayerWorkload,
} from "./attention-works.ts";
import { type GPTSizes, gptShapes } from "./gpt.ts";

export type { AttentionWorkload, BlockMapWorkload, DecodeWorkload, LayerWorkload } from "./attention-works.ts";

/** A product `[m, k] @ [k, n]`; `m = 1` is the matrix-vector product of decoding. `f16`: so stored, accumulated in f32. */
export interface GemmWorkload {
  kind: "gemm";
  name: string;
  m: number;
  k: number;
  n: number;
  dtype?: "f16";
}

/** A row-wise operation on `x [rows, cols]`. Layer norm has eps 1e-5 and takes `weight` and `bias` `[cols]`. */
export interface RowsWorkload {
  kind: "softmax" | "layernorm" | "gelu";
  name: string;
  rows: number;
  cols: number;
}

/**
 * The forward pass of `layers` pre-norm transformer blocks on `x [tokens, dim]`:
 * `x += attention(norm1(x) wqkv) wo; x += gelu(norm2(x) wfc) wproj`, no biases, no mask, GELU by tanh, eps 1e-5.
 */
export interface BlocksWorkload {
  kind: "blocks";
  name: string;
  layers: number;
  heads: number;
  dim: number;
  tokens: number;
}

/** One training step of a model that `gpt.ts` describes. */
export interface GPTWorkload {
  kind: "gpt";
  name: string;
  sizes: GPTSizes;
}

export type Workload =
  | GemmWorkload
  | RowsWorkload
  | BlocksWorkload
  | AttentionWorkload
  | LayerWorkload
  | BlockMapWorkload
  | DecodeWorkload
  | GPTWorkload;

const square = (size: number, dtype?: "f16"): GemmWorkload => {
  return { kind: "gemm", name: `gemm-${dtype ? `${dtype}-` : ""}${size}`, m: size, k: size, n: size, ...(dtype && { dtype }) };
};
const attention = { kind: "attention", heads: 12, tokens: 1024, width: 64 } as const;
const baby = { layers: 4, heads: 4, dim: 128, context: 64, batch: 12, vocabulary: 65 };
const distil = { layers: 6, heads: 12, dim: 768, context: 512, batch: 1, vocabulary: 50257 };

export const workloads: Workload[] = [
  ...[512, 1024, 2048, 4096].map((size) => square(size)),
  ...[1024, 2048, 4096].map((size) => square(size, "f16")),
  { kind: "gemm", name: "gemm-256x768x3072", m: 256, k: 768, n: 3072 },
  { kind: "gemm", name: "matvec-2048", m: 1, k: 2048, n: 2048 },
  { kind: "softmax", name: "softmax-4096x1024", rows: 4096, cols: 1024 },
  { kind: "layernorm", name: "layernorm-4096x768", rows: 4096, cols: 768 },
  { kind: "gelu", name: "gelu-4m", rows: 4096, cols: 1024 },
  { kind: "blocks", name: "gpt2-small-blocks", layers: 12, heads: 12, dim: 768, tokens: 256 },
  { ...attention, name: "attention-1024", causal: false },
  { ...attention, name: "attention-1024-causal", causal: true },
  { kind: "gpt", name: "baby-step", sizes: baby },
  { kind: "gpt", name: "gpt-step", sizes: { ...baby, context: 128, batch: 8 } },
  { kind: "gpt", name: "distilgpt2-step", sizes: distil },
  ...attentionWorks,
];

export function workloadNamed(name: string): Workload {
  const found = workloads.find((each) => each.name === name);
  if (!found) throw new Error(`bench: no workload "${name}"; there are ${workloads.map((each) => each.name).join(", ")}.`);
  return found;
}

/** Multiplications and additions of one iteration, where that is what the work is made of. */
export function flops(work: Workload): number | undefined {
  if (work.kind === "gemm") return 2 * work.m * work.k * work.n;
  if (work.kind === "attention") {
    // A causal mask leaves half of the two products; the backward pass has five, one of them for the scores once more.
    const passes = work.training ? 3.5 : 1;
    return passes * (work.causal ? 2 : 4) * work.heads * work.tokens ** 2 * work.width;
  }
  if (work.kind !== "blocks") return undefined;
  const { layers, dim, tokens } = work;
  return layers * (2 * tokens * dim * dim * 12 + 4 * tokens * tokens * dim);
}

/** Bytes of one read and one write of the data, for the work that memory bounds. */
export function bytes(work: Workload): number | undefined {
  if (work.kind === "gemm") return work.m === 1 ? 4 * work.k * work.n : undefined;
  return "rows" in work ? 8 * work.rows * work.cols : undefined;
}

/** Largest absolute difference allowed between an output and the reference, or another competitor's output. */
export function tolerance(work: Workload): number {
  if (work.kind === "gemm") return work.dtype ? 1e-3 * Math.sqrt(work.k) : 1e-6 * work.k; // f16 rounds a result to 11 bits
  if (work.kind === "softmax") return 1e-6;
  if (work.kind === "attention" && work.training) return 2e-4; // sums of thousands of products of numbers up to 2
  return work.kind === "gpt" || work.kind === "blocks" ? 1e-3 : 1e-5;
}

/** A seeded source of numbers uniform in [0, 1): mulberry32. */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** `size` numbers uniform in [center - spread, center + spread). */
export function randoms(random: () => number, size: number, spread = 1, center = 0): Float32Array {
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++) out[i] = center + spread * (2 * random() - 1);
  return out;
}

export type Inputs = Record<string, Float32Array>;

/** The names and shapes of the weights of one block, in the order in which they are drawn. */
export function blockShapes(dim: number): [name: string, shape: number[]][] {
  return [
    ["norm1", [dim]],
    ["wqkv", [dim, 3 * dim]],
    ["wo", [dim, dim]],
    ["norm2", [dim]],
    ["wfc", [dim, 4 * dim]],
    ["wproj", [4 * dim, dim]],
  ];
}

/** The inputs of a workload, the same in every process for the same seed. Block weights are named `0.wqkv`. */
export function inputs(work: Workload, seed: number): Inputs {
  const random = uniform(seed);
  if (work.kind === "gemm") {
    const draw = (size: number) => (work.dtype ? exactInHalf(randoms(random, size)) : randoms(random, size));
    return { a: draw(work.m * work.k), b: draw(work.k * work.n) };
  }
  if (work.kind === "attention") {
    const draw = () => randoms(random, work.heads * work.tokens * work.width, 2);
    return { q: draw(), k: draw(), v: draw(), ...(work.training && { g: draw() }) };
  }
  if (work.kind === "layer") {
    const draw = () => randoms(random, work.tokens * work.dim);
    return { x: draw(), ...(work.training && { g: draw() }) };
  }
  if (work.kind === "decode") return { x: randoms(random, work.tokens * work.heads * work.width) };
  if (work.kind === "blockmap") return {};
  if (work.kind === "blocks") {
    const all: Inputs = { x: randoms(random, work.tokens * work.dim) };
    for (let layer = 0; layer < work.layers; layer++) {
      for (const [name, shape] of blockShapes(work.dim)) all[`${layer}.${name}`] = weight(random, shape);
    }
    return all;
  }
  if (work.kind === "gpt") {
    return Object.fromEntries(gptShapes(work.sizes).map(([name, shape]) => [name, gptWeight(random, name, shape)]));
  }
  const x = randoms(random, work.rows * work.cols, 4);
  if (work.kind !== "layernorm") return { x };
  return { x, weight: randoms(random, work.cols, 0.1, 1), bias: randoms(random, work.cols, 0.1) };
}

/** Numbers that f16 holds as they are. */
const exactInHalf = (values: Float32Array) => values.map((value) => Math.round(128 * value) / 128);

function weight(random: () => number, shape: number[]): Float32Array {
  const [rows = 1, cols = 1] = shape;
  if (shape.length === 1) return randoms(random, rows, 0.1, 1);
  return randoms(random, rows * cols, 1 / Math.sqrt(rows));
}

function gptWeight(random: () => number, name: string, shape: number[]): Float32Array {
  const size = shape.reduce((product, axis) => product * axis, 1);
  if (shape.length > 1) return randoms(random, size, 0.02 * Math.sqrt(3));
  return new Float32Array(size).fill(name.endsWith(".weight") ? 1 : 0);
}
