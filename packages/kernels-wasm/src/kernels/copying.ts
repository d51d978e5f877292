import type { KernelLaunch, Place, WasmLaunch } from "../device/launch.ts";
import { ceilDiv, grainFor } from "./work.ts";

export interface Copying {
  readonly shape: readonly number[];
  /** Bytes of an element. */
  readonly size: number;
  readonly out: Place;
  readonly outStrides: readonly number[];
  readonly from: Place;
  readonly strides: readonly number[];
}

interface Axis {
  extent: number;
  out: number;
  from: number;
}

/** Axes that the copy kernel walks. */
const rank = 6;
/** Elements of a row that one long run is cut into. */
const run = 4096;

const shifted = (place: Place, bytes: number): Place => ({ buffer: place.buffer, offset: (place.offset ?? 0) + bytes });

/** Launches that copy strided elements to strided places. */
export function copyLaunches(copying: Copying): WasmLaunch[] {
  const axes = merged(copying);
  if (axes.some(({ extent }) => extent === 0)) return [];
  const [only] = axes;
  if (axes.length === 1 && only!.out === 1 && only!.from === 1 && only!.extent > run) return copyRun(copying, only!.extent);
  return over(copying, axes);
}

/** Axes without those of extent 1, neighbours merged where both sides step over them as over one. */
function merged({ shape, outStrides, strides }: Copying): Axis[] {
  const axes: Axis[] = [];
  for (const [i, extent] of shape.entries()) {
    if (extent === 1) continue;
    const axis = { extent, out: outStrides[i]!, from: strides[i]! };
    const last = axes.at(-1);
    if (last && last.out === axis.out * extent && last.from === axis.from * extent) {
      axis.extent *= last.extent;
      axes.pop();
    }
    axes.push(axis);
  }
  return axes;
}

/** One contiguous run, in rows of `run` and a rest. */
function copyRun(copying: Copying, extent: number): WasmLaunch[] {
  const rows = Math.floor(extent / run);
  const rest = extent - rows * run;
  const whole = over(copying, [
    { extent: rows, out: run, from: run },
    { extent: run, out: 1, from: 1 },
  ]);
  if (rest === 0) return whole;
  const bytes = rows * run * copying.size;
  const tail = { ...copying, out: shifted(copying.out, bytes), from: shifted(copying.from, bytes) };
  return [...whole, ...over(tail, [{ extent: rest, out: 1, from: 1 }])];
}

/** A launch, or one for each index of the axes beyond what the kernel walks. */
function over(copying: Copying, axes: readonly Axis[]): WasmLaunch[] {
  if (axes.length > rank) {
    const [first, ...others] = axes as [Axis, ...Axis[]];
    const { size, out, from } = copying;
    return Array.from({ length: first.extent }, (_, i) =>
      over({ ...copying, out: shifted(out, i * first.out * size), from: shifted(from, i * first.from * size) }, others),
    ).flat();
  }
  return [launchOver(copying, axes)];
}

/** The plane is the axis that lies side by side in the output and the one that does so in the source: then both go by whole vectors. */
function launchOver({ size, out, from }: Copying, axes: readonly Axis[]): KernelLaunch {
  const ordered = [...axes];
  const side = ordered.findIndex((axis) => axis.from === 1);
  if (side >= 0 && side < ordered.length - 2) ordered.splice(-1, 0, ...ordered.splice(side, 1));
  while (ordered.length < rank) ordered.unshift({ extent: 1, out: 0, from: 0 });
  const [rowCount, columns] = [ordered[4]!.extent, ordered[5]!.extent];
  const rows = Math.min(rowCount, Math.max(32, Math.ceil(run / Math.max(1, columns))));
  const planes = ordered.slice(0, 4).reduce((count, { extent }) => count * extent, 1);
  const args = {
    ...{ out, src: from, size, rows },
    shape: ordered.map(({ extent }) => extent),
    outStride: ordered.map((axis) => axis.out),
    srcStride: ordered.map((axis) => axis.from),
  };
  return { kernel: "copy", args, units: planes * ceilDiv(rowCount, rows), grain: grainFor((rows * columns * size) / 8) };
}
