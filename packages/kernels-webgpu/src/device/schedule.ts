import { mergeLaunches } from "../wgsl/merge.ts";
import type { BufferUse, WebgpuLaunch } from "./launch.ts";
import { layOut, type Range } from "./layout.ts";

/** A launch of a plan with its memory. */
export interface Placed {
  readonly kernel: string;
  /** Which application of a kernel it belongs to. */
  readonly step: number;
  readonly launch: WebgpuLaunch;
  readonly ranges: readonly Range[];
}

export interface Limits {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
}

/** At most so many become one, and so far ahead is looked for more. */
const [most, window] = [8, 160];

/**
 * The same launches in fewer: those of one source that do not depend on each other, nor on what stands between them, are merged. Updates of parameters, projections of one input and their gradients are
 * of this kind.
 */
export function mergeIndependent(list: readonly Placed[], limits: Limits): Placed[] {
  const taken = new Set<number>();
  const merged: Placed[] = [];
  for (const [i, first] of list.entries()) {
    if (taken.has(i)) continue;
    const members = [first];
    if (mergeable(first.launch)) gatherMembers(list, i, members, taken, limits);
    merged.push(
      members.length === 1
        ? first
        : { ...first, launch: mergeLaunches(members.map(({ launch }) => launch)), ranges: members.flatMap(({ ranges }) => ranges) },
    );
  }
  return merged;
}

/** A line of workgroups whose main knows its own. */
const mergeable = ({ groups, code }: WebgpuLaunch): boolean => typeof groups === "number" && code.includes("group_of(");

/** Later launches that may run together with the one at `start`. */
function gatherMembers(list: readonly Placed[], start: number, members: Placed[], taken: Set<number>, limits: Limits): void {
  const [first] = members as [Placed];
  const passed: Placed[] = [];
  for (let j = start + 1; j < Math.min(list.length, start + window) && members.length < most; j++) {
    const next = list[j]!;
    if (taken.has(j)) continue;
    const fits =
      alike(first.launch, next.launch) &&
      !members.some((member) => conflict(member, next)) &&
      !passed.some((between) => conflict(between, next)) &&
      bindable([...members, next], limits);
    if (fits) {
      members.push(next);
      taken.add(j);
    } else passed.push(next);
  }
}

const alike = (a: WebgpuLaunch, b: WebgpuLaunch): boolean =>
  a.code === b.code &&
  typeof b.groups === "number" &&
  a.enable?.join() === b.enable?.join() &&
  a.buffers.length === b.buffers.length &&
  a.buffers.every((use, i) => {
    const { name, access, elements } = b.buffers[i]!;
    return use.name === name && use.access === access && use.elements.dtype === elements.dtype && use.elements.width === elements.width;
  });

function bindable(members: readonly Placed[], limits: Limits): boolean {
  const uses = members.flatMap(({ launch }, job) => launch.buffers.map((use): BufferUse => ({ ...use, name: `${use.name}_j${job}` })));
  const { slots } = layOut(
    uses,
    members.flatMap(({ ranges }) => ranges),
    limits.maxStorageBufferBindingSize,
  );
  return slots.reduce((n, { ranges }) => n + ranges.length, 0) <= limits.maxStorageBuffersPerShaderStage;
}

/** Whether one writes what the other reads or writes. Parts of one buffer that launches of one application write are disjoint. */
function conflict(a: Placed, b: Placed): boolean {
  return a.ranges.some((x, i) => {
    const wrote = a.launch.buffers[i]!.access;
    return b.ranges.some((y, j) => {
      const writes = b.launch.buffers[j]!.access;
      if (wrote === "read" && writes === "read") return false;
      if (wrote === "part" && writes === "part" && a.step === b.step) return false;
      return x.buffer === y.buffer && x.offset < y.offset + y.size && y.offset < x.offset + x.size;
    });
  });
}
