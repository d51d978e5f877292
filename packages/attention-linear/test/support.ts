import { existsSync } from "node:fs";
import { wasm } from "@x/kernels-wasm";
import { webgpu } from "@x/kernels-webgpu";
import { type Device, reference, type Tensor } from "@x/tensor";
import type { DeviceEntry } from "@x/testing";

const swiftshader = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Every kind of device: the reference, the CPU, and WebGPU on a software adapter where one is installed. */
export const devices: readonly DeviceEntry[] = [
  { name: "reference", open: () => reference(), required: true },
  { name: "wasm", open: (): Promise<Device> => wasm(), required: true },
  {
    name: "webgpu on swiftshader",
    required: process.env.CI === "true",
    open: async (): Promise<Device> => {
      if (!existsSync(swiftshader)) throw new Error("the swiftshader driver is not installed");
      process.env.VK_DRIVER_FILES = swiftshader;
      return webgpu();
    },
  },
];

/** A kernel as books write it: features of one position as numbers. */
export interface BookKernel {
  query(x: readonly number[]): number[];
  /** `c` is the largest `scale` of the keys that the query sees. */
  key(x: readonly number[], c: number): number[];
  scale?(x: readonly number[]): number;
}

export interface BookOptions {
  readonly causal?: boolean;
  readonly normalize?: boolean;
  /** Key j of batch entry b is there. */
  readonly present?: (b: number, j: number) => boolean;
  readonly valuesOnly?: boolean;
  /** The scale is taken over all keys. */
  readonly global?: boolean;
  readonly denominatorEps?: number;
  readonly keySumEps?: number;
}

type Four = number[][][][];
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** Linear attention pair by pair, in plain loops and doubles. */
export async function book(given: Record<"q" | "k" | "v", Tensor>, kernel: BookKernel, options: BookOptions = {}): Promise<Four> {
  const [q, k, v] = (await Promise.all([given.q, given.k, given.v].map((x) => x.array()))) as [Four, Four, Four];
  const { causal = false, normalize = true, present = () => true, valuesOnly = false, global = false } = options;
  const { denominatorEps = 0, keySumEps = 0 } = options;
  const shared = given.q.shape[1]! / given.k.shape[1]!;
  return q.map((heads, b) =>
    heads.map((queries, h) => {
      const [keys, values] = [k[b]![Math.floor(h / shared)]!, v[b]![Math.floor(h / shared)]!];
      const counts = (j: number) => valuesOnly || present(b, j);
      return queries.map((x, i) => {
        const sees = (j: number) => (!causal || j <= i) && counts(j);
        const scales = keys.flatMap((key, j) => ((global ? counts(j) : sees(j)) ? [kernel.scale?.(key) ?? 0] : []));
        const c = Math.max(...scales);
        const phi = kernel.query(x);
        const out = values[0]!.map(() => 0);
        let sum = denominatorEps + keySumEps * phi.reduce((a, value) => a + value, 0);
        for (const [j, key] of keys.entries()) {
          if (!sees(j)) continue;
          const weight = dot(phi, kernel.key(key, c));
          sum += weight;
          if (present(b, j)) for (const [d, value] of values[j]!.entries()) out[d]! += weight * value;
        }
        if (!keys.some((_, j) => sees(j))) return out;
        return normalize ? out.map((value) => value / sum) : out.map((value) => value * Math.exp(c));
      });
    }),
  );
}

/** FAVOR+ from a projection, by the formulas of the paper's section 2.3 with the stabilizers of the published code. */
export function bookFavor(omega: readonly (readonly number[])[], eps: number, kind: "positive" | "hyperbolic" = "positive"): BookKernel {
  const rows = kind === "positive" ? omega : [...omega, ...omega.map((row) => row.map((value) => -value))];
  const scaled = (x: readonly number[]) => x.map((value) => value * x.length ** -0.25);
  const largest = (x: readonly number[]) => Math.max(...rows.map((row) => dot(row, scaled(x))));
  const phi = (x: readonly number[], c: number) => {
    const y = scaled(x);
    return rows.map((row) => rows.length ** -0.5 * (Math.exp(dot(row, y) - dot(y, y) / 2 - c) + eps));
  };
  return { query: (x) => phi(x, largest(x)), key: phi, scale: largest };
}

/** softmax(q k^T / sqrt(headDim)) v in plain loops, for one batch entry and head. */
export function bookSoftmax(q: number[][], k: number[][], v: number[][], causal = false): number[][] {
  return q.map((x, i) => {
    const weights = k.map((key, j) => (causal && j > i ? 0 : Math.exp(dot(x, key) * x.length ** -0.5)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return v[0]!.map((_, d) => weights.reduce((total, weight, j) => total + weight * v[j]![d]!, 0) / sum);
  });
}
