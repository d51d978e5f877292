import { bytesOfWord, type WordType, wordTypeOf } from "../wgsl/elements.ts";
import { type BufferUse, type Param, u32 } from "./launch.ts";
import type { Storage } from "./memory.ts";

/** A range of a GPU buffer. Offsets are multiples of 256, sizes of 16. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** One storage variable of a shader, or several where a range is larger than a binding may be. */
export interface Slot {
  readonly word: WordType;
  readonly writable: boolean;
  readonly ranges: readonly Range[];
}

/** Which variable each use of a launch reads, and from which 32-bit word on. */
export interface Layout {
  readonly slots: readonly Slot[];
  readonly places: readonly { readonly slot: number; readonly first: number }[];
  /** The layout without its buffers: launches of one source and pattern share a pipeline. */
  readonly pattern: string;
}

/** How large a binding may be, and how many a launch may have. */
export interface BindingLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
}

interface Group {
  readonly buffer: GPUBuffer;
  offset: number;
  end: number;
  word: WordType;
  writable: boolean;
  readonly members: { readonly use: number; readonly offset: number }[];
}

const oneWord: WordType = { base: "u32", lanes: 1 };
const sameWord = (a: WordType, b: WordType) => a.base === b.base && a.lanes === b.lanes;
/** Whether both may be read as the elements of one array. */
const inStep = (a: Group, b: Group) => sameWord(a.word, b.word) && (a.offset - b.offset) % bytesOfWord(a.word) === 0;
const roundUp = (n: number, step: number) => Math.ceil(n / step) * step;

/**
 * Assigns variables. In one launch a GPU buffer has one access mode, even for disjoint ranges, and no two writable ranges may overlap; so what lies in a buffer
 * that is written becomes writable, and what overlaps becomes one variable. Where that is more than a launch may have, what lies in one buffer shares a variable.
 */
export function layOut(uses: readonly BufferUse[], ranges: readonly Range[], limits: BindingLimits): Layout {
  let groups: Group[] = [];
  const { maxStorageBufferBindingSize: limit, maxStorageBuffersPerShaderStage: most } = limits;
  const written = new Set(ranges.filter((_, i) => uses[i]!.access !== "read").map(({ buffer }) => buffer));
  for (const [i, { buffer, offset, size }] of ranges.entries()) {
    const word = wordTypeOf(uses[i]!.elements);
    const [start, end] = [offset, offset + size];
    const writable = written.has(buffer);
    const touching = groups.filter(
      (group) =>
        group.buffer === buffer &&
        (writable ? start < group.end && group.offset < end : start === group.offset && sameWord(word, group.word)),
    );
    const group: Group = { buffer, offset: start, end, word, writable, members: [{ use: i, offset: start }] };
    for (const other of touching) {
      join(group, other);
      groups.splice(groups.indexOf(other), 1);
    }
    groups.push(group);
  }
  for (const together of [inStep, () => true]) if (countOf(groups, limit) > most) groups = foldBuffers(groups, limit, together);
  const places = new Array<Layout["places"][number]>(uses.length);
  for (const [slot, { offset, members }] of groups.entries())
    for (const member of members) places[member.use] = { slot, first: (member.offset - offset) / 4 };
  const slots = groups.map(
    ({ buffer, offset, end, word, writable }): Slot => ({ word, writable, ranges: windows(buffer, offset, end, limit) }),
  );
  return { slots, places, pattern: patternOf(slots, places) };
}

function join(group: Group, other: Group): void {
  if (!inStep(group, other)) group.word = oneWord;
  group.offset = Math.min(group.offset, other.offset);
  group.end = Math.max(group.end, other.end);
  group.members.push(...other.members);
}

const countOf = (groups: readonly Group[], limit: number): number =>
  groups.reduce((n, { buffer, offset, end }) => n + windows(buffer, offset, end, limit).length, 0);

/** Neighbours in a buffer as one variable over all that lies between them, where one binding reaches so far. Read-only variables may overlap others, so they need not be neighbours. */
function foldBuffers(groups: readonly Group[], limit: number, together: (a: Group, b: Group) => boolean): Group[] {
  const folded: Group[] = [];
  for (const group of [...groups].sort((a, b) => a.offset - b.offset)) {
    const mates = folded.filter(({ buffer }) => buffer === group.buffer);
    const mate = (group.writable ? mates.slice(-1) : mates).find((other) => together(other, group) && group.end - other.offset <= limit);
    if (mate) join(mate, group);
    else folded.push(group);
  }
  return folded;
}

function windows(buffer: GPUBuffer, offset: number, end: number, limit: number): Range[] {
  const size = Math.floor(limit / 256) * 256;
  const count = Math.max(1, Math.ceil((end - offset) / size));
  return Array.from({ length: count }, (_, i) => ({
    buffer,
    offset: offset + i * size,
    size: Math.min(size, end - offset - i * size),
  }));
}

const patternOf = (slots: readonly Slot[], places: Layout["places"]): string =>
  `${slots.map(({ word, writable, ranges }) => `${word.base}${word.lanes}${writable ? "w" : "r"}${ranges.length > 1 ? `${ranges.length}x${ranges[0]!.size}` : ""}`).join()} ${places.map(({ slot, first }) => (first ? `${slot}+` : slot)).join()}`;

/** The numbers that the accessors of a layout want besides the parameters of the launch: where uses begin that share a variable. */
export const firstWords = (uses: readonly BufferUse[], { places }: Layout): Record<string, Param> =>
  Object.fromEntries(places.flatMap(({ first }, i) => (first ? [[`${uses[i]!.name}_first`, u32(first)]] : [])));

/** The range of a binding: its bytes, rounded up to what vectors of four need, within the storage. */
export function rangeOf(storage: Storage, offset: number, bytes: number): Range {
  const size = Math.min(roundUp(Math.max(bytes, 16), 16), storage.bytes - offset);
  return { buffer: storage.buffer, offset: storage.offset + offset, size };
}
