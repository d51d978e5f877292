import os from "node:os";
import type { Launch } from "./launch.ts";
import { wasmKernels, wasmPeers } from "./plan.ts";
import { bytes, flops, type Workload } from "./workloads.ts";

/** The figures of one competitor in one case, times in milliseconds. */
export interface Entry {
  competitor: string;
  version: string;
  threads: number;
  /** Median of the medians of the processes. */
  median: number;
  min: number;
  /** The median of each process in the order of launching: a process stuck at half speed shows here. */
  processes: number[];
  samples: number;
  gflops?: number;
  gbytesPerSecond?: number;
  /** Largest difference from f64 arithmetic, over `checkedRows` rows. */
  maxAbsFromF64?: number;
  checkedRows?: number;
  /** Largest difference from the output of `comparedWith`. */
  maxAbsFromOther?: number;
  comparedWith?: string;
  /** For `baby-step`: the losses of the first steps. */
  losses?: number[];
}

/** One workload with one number of threads. */
export interface CaseResult {
  work: Workload;
  threads: number;
  tolerance: number;
  entries: Entry[];
  /** Competitors that took no part, and why. */
  absent: Record<string, string>;
  /**
   * Time of the fastest of a class divided by our time: above 1 we are faster. Absent while we have no entry. The first two compare with what a
   * caller pays; `...Kernel`, for row operations, with onnxruntime's kernels less the copies of its calls.
   */
  ratios: Partial<Record<"toBestWasmPeer" | "toOrtNode" | "toBestWasmKernel" | "toOrtNodeKernel" | "toTorch" | "shareOfCeiling", number>>;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Sums up the launches of one competitor that gave samples. */
export function summarise(competitor: string, work: Workload, launches: Launch[]): Entry {
  const [first] = launches;
  const processes = launches.map(({ samples }) => median(samples));
  const all = launches.flatMap(({ samples }) => samples);
  const time = median(processes);
  const [operations, moved] = [flops(work), bytes(work)];
  const worst = launches.map(({ check }) => check).filter((each) => each !== undefined);
  return {
    competitor,
    version: first?.version ?? "",
    threads: first?.threads ?? 1,
    median: time,
    min: all.reduce((least, each) => Math.min(least, each), Number.POSITIVE_INFINITY),
    processes,
    samples: all.length,
    ...(operations && { gflops: operations / time / 1e6 }),
    ...(moved && { gbytesPerSecond: moved / time / 1e6 }),
    ...(worst.length && { maxAbsFromF64: Math.max(...worst.map(({ maxAbs }) => maxAbs)), checkedRows: worst[0]!.rows }),
  };
}

/** How our time stands to that of the others. */
export function ratios(entries: Entry[]): CaseResult["ratios"] {
  const ours = entries.find(({ competitor }) => competitor === "ours");
  if (!ours) return {};
  const best = (names: string[]) => {
    const times = entries.filter(({ competitor }) => names.includes(competitor)).map((entry) => entry.median);
    return times.length ? Math.min(...times) / ours.median : undefined;
  };
  const given = {
    toBestWasmPeer: best(wasmPeers),
    toOrtNode: best(["ort-node", "ort-node/b-input"]),
    ...(entries.some(({ competitor }) => competitor === "ort-web/kernel") && { toBestWasmKernel: best(wasmKernels) }),
    toOrtNodeKernel: best(["ort-node/kernel"]),
    toTorch: best(["torch"]),
    shareOfCeiling: best(["ceiling/native", "ceiling/wasm"]),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The machine, as far as figures depend on it. */
export function machine() {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model ?? "unknown",
    cores: cpus.length,
    memoryGB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    v8: process.versions.v8,
    loadAverage: os.loadavg()[0]!,
  };
}
