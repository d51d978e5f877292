import os from "node:os";
import type { Demands } from "./competitor.ts";
import type { Group, GroupName } from "./groups.ts";
import type { Launch } from "./launch.ts";
import { bytes, flops, type Workload } from "./workloads.ts";

/** The figures of one competitor in one case, times in milliseconds. */
export interface Entry {
  competitor: string;
  version: string;
  threads: number;
  /** The GPU it ran on. */
  adapter?: string;
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
  /** What one iteration asks of the GPU after warm-up. */
  demands?: Demands;
  /** The most memory of the device that was held, where it can tell; and the most that the whole process held. GiB. */
  peakGB?: number;
  processGB?: number;
  /** Of decoding. */
  tokensPerSecond?: number;
  /** Of a training step: the losses of the first steps. */
  losses?: number[];
}

/** One workload with one number of threads. */
export interface CaseResult {
  group: GroupName;
  work: Workload;
  threads: number;
  tolerance: number;
  entries: Entry[];
  /** Competitors that took no part, and why. */
  absent: Record<string, string>;
  /**
   * Time of the fastest of a class divided by our time: above 1 we are faster. Absent while we have no entry. `...Kernel`, for row operations,
   * compares with onnxruntime's kernels less the copies of its calls, the others with what a caller pays.
   */
  ratios: Record<string, number>;
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
    ...(first?.adapter && { adapter: first.adapter }),
    ...(first?.demands && { demands: first.demands }),
    ...(first?.peakBytes && { peakGB: first.peakBytes / 2 ** 30 }),
    ...(first?.processBytes && { processGB: first.processBytes / 2 ** 30 }),
    ...(work.kind === "decode" && { tokensPerSecond: 1000 / time }),
    ...(operations && { gflops: operations / time / 1e6 }),
    ...(moved && { gbytesPerSecond: moved / time / 1e6 }),
    ...(worst.length && { maxAbsFromF64: Math.max(...worst.map(({ maxAbs }) => maxAbs)), checkedRows: worst[0]!.rows }),
  };
}

/** How our time stands to that of the others, by the classes of the group. */
export function ratios(entries: Entry[], { competitors, ratios: classes, onlyWith = {} }: Group): CaseResult["ratios"] {
  const ours = entries.find(({ competitor }) => competitor === competitors[0]);
  if (!ours) return {};
  const tookPart = (name: string | undefined) => name === undefined || entries.some(({ competitor }) => competitor === name);
  const given = Object.entries(classes).flatMap(([name, members]) => {
    if (!tookPart(onlyWith[name])) return [];
    const times = entries.filter(({ competitor }) => members.includes(competitor)).map((entry) => entry.median);
    return times.length ? [[name, Math.min(...times) / ours.median]] : [];
  });
  return Object.fromEntries(given);
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
