import { seriesOf } from "./attention-works.ts";
import type { CaseResult } from "./results.ts";

/** The figures of one competitor, or one layer, by length. */
export interface Curve {
  /** What is compared with one another: one picture. */
  panel: string;
  label: string;
  threads: number;
  tokens: number[];
  ms: number[];
  /** GiB: of the device where it tells, else of the process. */
  memory: number[];
  memoryOf: "device" | "process";
  /** Exponents of the length, from `slopeFrom` tokens on; undefined for fewer than two lengths. */
  slopeFrom: number;
  timeSlope?: number;
  memorySlope?: number;
  /** Of a layer: the time of the dense one over its time, at each length that both have. */
  overDense?: Record<number, number>;
}

/** The exponent b of y = a x^b by least squares on logarithms; undefined for fewer than two points. */
export function logLogSlope(x: readonly number[], y: readonly number[]): number | undefined {
  if (x.length < 2) return undefined;
  const [u, v] = [x.map(Math.log), y.map(Math.log)];
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [uMean, vMean] = [mean(u), mean(v)];
  const covariance = u.reduce((sum, value, i) => sum + (value - uMean) * (v[i]! - vMean), 0);
  return covariance / u.reduce((sum, value) => sum + (value - uMean) ** 2, 0);
}

/** Slopes of layers are taken up to here. */
const slopeTo = 32_768;

/** The curves of all series that were measured, in the order of the cases. */
export function curvesOf(cases: readonly CaseResult[]): Curve[] {
  const curves = new Map<string, Curve>();
  for (const { group, work, threads, entries } of cases) {
    const series = seriesOf(work);
    if (series === undefined || !("tokens" in work)) continue;
    const pass = "training" in work && work.training ? "forward and backward" : "forward";
    const place = group.endsWith("webgpu") ? "WebGPU" : "CPU";
    const isLayer = work.kind === "layer";
    for (const { competitor, median, peakGB, processGB } of entries) {
      const panel = `${isLayer ? "layers" : "causal attention"}, ${pass}, ${place}`;
      const label = work.kind === "layer" ? work.layer : competitor;
      const name = `${panel} ${label} ${threads}`;
      const fresh: Curve = {
        panel,
        label,
        threads,
        tokens: [],
        ms: [],
        memory: [],
        memoryOf: peakGB ? "device" : "process",
        slopeFrom: isLayer ? 4096 : 1024,
      };
      const curve = curves.get(name) ?? fresh;
      curves.set(name, curve);
      curve.tokens.push(work.tokens);
      curve.ms.push(median);
      curve.memory.push(peakGB ?? processGB ?? 0);
    }
  }
  const all = [...curves.values()];
  for (const curve of all) addSlopes(curve);
  for (const curve of all) addOverDense(curve, all);
  return all;
}

function addSlopes(curve: Curve): void {
  const { tokens, slopeFrom } = curve;
  const within = (values: number[]) => values.filter((_, i) => tokens[i]! >= slopeFrom && tokens[i]! <= slopeTo);
  const [time, memory] = [curve.ms, curve.memory].map((values) => logLogSlope(within(tokens), within(values)));
  if (time !== undefined) curve.timeSlope = time;
  if (memory !== undefined) curve.memorySlope = memory;
}

function addOverDense(curve: Curve, all: readonly Curve[]): void {
  if (curve.label === "dense") return;
  const dense = all.find(({ panel, label, threads }) => panel === curve.panel && label === "dense" && threads === curve.threads);
  if (!dense) return;
  const shared = curve.tokens.filter((tokens) => dense.tokens.includes(tokens));
  const at = ({ tokens, ms }: Curve, length: number) => ms[tokens.indexOf(length)]!;
  curve.overDense = Object.fromEntries(shared.map((length) => [length, at(dense, length) / at(curve, length)]));
}

/** The slopes as text, one line for each curve. */
export function curveLines(curves: readonly Curve[]): string[] {
  return curves.map((curve) => {
    const { panel, label, threads, tokens, slopeFrom, memoryOf, timeSlope, memorySlope, overDense } = curve;
    const range = `from ${Math.max(slopeFrom, tokens[0]!)} to ${Math.min(slopeTo, tokens.at(-1)!)} tokens`;
    const slopes =
      timeSlope === undefined
        ? "too few lengths for a slope"
        : `time ~ length^${timeSlope.toFixed(2)}, memory of the ${memoryOf} ~ length^${memorySlope!.toFixed(2)}, ${range}`;
    const faster = Object.entries(overDense ?? {}).map(([length, ratio]) => `${ratio.toFixed(2)} at ${length}`);
    const beside = faster.length ? `; dense takes times ${faster.join(", ")}` : "";
    return `${panel}, ${label}${threads > 1 ? `, ${threads} threads` : ""}: ${slopes}${beside}`;
  });
}
