import { mergeLaunches } from "../wgsl/merge.ts";
import { followers, type Placed } from "./dependencies.ts";
import type { BufferUse, WebgpuLaunch } from "./launch.ts";
import { type BindingLimits, layOut } from "./layout.ts";

/** At most so many become one, and among so many it is looked for them. */
const [most, window] = [16, 64];
/**
 * A processor that plays the GPU takes both sides of a branch, the wrong one with all lanes off: every workgroup of a merged launch passes through the code of each of its members. So many more passages
 * are given for one launch less.
 */
const worthPassing = 192;

interface Limits extends BindingLimits {
  readonly software?: boolean;
}

/**
 * The same launches in fewer: those of one source that do not depend on each other are merged. Updates of parameters, projections of one input and their gradients are of this kind. What has the longest way
 * to go runs first, so that what nothing waits for collects until it is wanted, or until the end.
 */
export function mergeIndependent(list: readonly Placed[], limits: Limits): Placed[] {
  const after = followers(list);
  const waiting = list.map(() => 0);
  for (const next of after.flat()) waiting[next]!++;
  const heights = heightsOf(after);
  const ready = list.flatMap((_, i) => (waiting[i] === 0 ? [i] : []));
  const merged: Placed[] = [];
  while (ready.length > 0) {
    ready.sort((a, b) => heights[b]! - heights[a]! || a - b);
    const members = membersOf(ready, list, limits);
    for (const i of members) ready.splice(ready.indexOf(i), 1);
    for (const next of members.flatMap((i) => after[i]!)) if (--waiting[next]! === 0) ready.push(next);
    merged.push(together(members.map((i) => list[i]!)));
  }
  return merged;
}

/** How many launches follow each, one after the other. */
function heightsOf(after: readonly (readonly number[])[]): number[] {
  const heights = after.map(() => 0);
  for (let i = after.length - 1; i >= 0; i--) for (const next of after[i]!) heights[i] = Math.max(heights[i]!, heights[next]! + 1);
  return heights;
}

/** The first that is ready, and others that can be one launch with it. */
function membersOf(ready: readonly number[], list: readonly Placed[], limits: Limits): number[] {
  const [first] = ready as [number];
  const members = [first];
  if (!mergeable(list[first]!.launch)) return members;
  const candidates = ready.slice(1).filter((i) => alike(list[first]!.launch, list[i]!.launch));
  for (const i of candidates.slice(0, window)) {
    if (members.length === most) break;
    if (limits.software && passages(members, i, list) > worthPassing) continue;
    if (
      bindable(
        [...members, i].map((member) => list[member]!),
        limits,
      )
    )
      members.push(i);
  }
  return members;
}

/** What the workgroups of `members` and those of one more pass through in vain if they are one launch. */
function passages(members: readonly number[], next: number, list: readonly Placed[]): number {
  const groups = members.reduce((sum, i) => sum + list[i]!.launch.groups, 0);
  return groups + members.length * list[next]!.launch.groups;
}

function together(members: readonly Placed[]): Placed {
  const [first] = members as [Placed];
  if (members.length === 1) return first;
  return { ...first, launch: mergeLaunches(members.map(({ launch }) => launch)), ranges: members.flatMap(({ ranges }) => ranges) };
}

/** Whether main knows its workgroup: one that does not is made for a single one. */
const mergeable = ({ code }: WebgpuLaunch): boolean => code.includes("group_of(");

const alike = (a: WebgpuLaunch, b: WebgpuLaunch): boolean =>
  a.code === b.code &&
  a.enable?.join() === b.enable?.join() &&
  a.buffers.length === b.buffers.length &&
  a.buffers.every((use, i) => {
    const { name, access, elements } = b.buffers[i]!;
    return use.name === name && use.access === access && use.elements.dtype === elements.dtype && use.elements.width === elements.width;
  });

function bindable(members: readonly Placed[], limits: BindingLimits): boolean {
  const uses = members.flatMap(({ launch }, job) => launch.buffers.map((use): BufferUse => ({ ...use, name: `${use.name}_j${job}` })));
  const { slots } = layOut(
    uses,
    members.flatMap(({ ranges }) => ranges),
    limits,
  );
  return slots.reduce((n, { ranges }) => n + ranges.length, 0) <= limits.maxStorageBuffersPerShaderStage;
}
