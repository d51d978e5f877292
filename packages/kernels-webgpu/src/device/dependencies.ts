import type { WebgpuLaunch } from "./launch.ts";
import type { Range } from "./layout.ts";

/** A launch of a plan with its memory. */
export interface Placed {
  readonly kernel: string;
  /** Which application of a kernel it belongs to. */
  readonly step: number;
  readonly launch: WebgpuLaunch;
  readonly ranges: readonly Range[];
}

interface Access {
  readonly launch: number;
  readonly step: number;
  readonly mode: WebgpuLaunch["buffers"][number]["access"];
  readonly offset: number;
  readonly end: number;
}

/** For each launch those that must follow it, since one writes what the other reads or writes. Parts of one buffer that launches of one application write are disjoint. */
export function followers(list: readonly Placed[]): number[][] {
  const after: number[][] = list.map(() => []);
  const earlier = new Map<GPUBuffer, Access[]>();
  for (const [index, { step, launch, ranges }] of list.entries()) {
    const before = new Set<number>();
    const own = ranges.map(({ buffer, offset, size }, i) => {
      const access: Access = { launch: index, step, mode: launch.buffers[i]!.access, offset, end: offset + size };
      const known = earlier.get(buffer) ?? [];
      for (const other of known) if (conflict(other, access)) before.add(other.launch);
      return { buffer, access, known };
    });
    // What this launch writes over is reached through it.
    for (const { buffer, access, known } of own)
      earlier.set(buffer, access.mode === "write" || access.mode === "modify" ? known.filter((other) => !covers(access, other)) : known);
    for (const { buffer, access } of own) earlier.get(buffer)!.push(access);
    for (const other of before) after[other]!.push(index);
  }
  return after;
}

function conflict(a: Access, b: Access): boolean {
  if (a.mode === "read" && b.mode === "read") return false;
  if (a.mode === "part" && b.mode === "part" && a.step === b.step) return false;
  return a.offset < b.end && b.offset < a.end;
}

const covers = (a: Access, b: Access): boolean => a.launch !== b.launch && a.offset <= b.offset && b.end <= a.end;
