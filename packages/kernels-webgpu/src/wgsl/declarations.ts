import type { BufferUse, Param, WebgpuLaunch } from "../device/launch.ts";
import type { Layout, Slot } from "../device/layout.ts";
import { bytesOfWord, codecOf, narrowFloats, registerType, typeName, type WordType, wordTypeOf } from "./elements.ts";

/** The whole source of a launch on a layout: extensions, variables, accessors, parameters, then the kernel's code. */
export function moduleSource({ code, buffers, params, enable = [] }: WebgpuLaunch, layout: Layout): string {
  const narrow = (["f16", "bf16"] as const).filter((dtype) => buffers.some(({ elements }) => elements.dtype === dtype));
  return [
    ...enable.map((name) => `enable ${name};`),
    ...layout.slots.map(slotSource),
    ...narrow.map((dtype) => narrowFloats(dtype, enable.includes("f16")).trim()),
    ...buffers.map((use, i) => accessors(use, layout.slots[layout.places[i]!.slot]!, layout.places[i]!)),
    parameters(params, bindingCount(layout.slots)),
    code.trim(),
    "",
  ].join("\n");
}

/** How many bindings slots take: one for each window. */
export const bindingCount = (slots: readonly Slot[]): number => slots.reduce((n, { ranges }) => n + ranges.length, 0);

/** The variables of a slot, and access to its words whatever window they lie in. */
function slotSource({ word, writable, ranges }: Slot, index: number, slots: readonly Slot[]): string {
  const binding = bindingCount(slots.slice(0, index));
  const type = typeName(word);
  const mode = writable ? "read_write" : "read";
  const names = ranges.map((_, i) => (ranges.length === 1 ? `slot${index}` : `slot${index}_w${i}`));
  const variables = names.map((name, i) => `@group(0) @binding(${binding + i}) var<storage, ${mode}> ${name}: array<${type}>;`);
  const span = ranges[0]!.size / bytesOfWord(word);
  const cases = (use: (name: string, at: string) => string) =>
    names
      .map((name, i) => {
        const at = i === 0 ? "i" : `i - ${i * span}u`;
        return i === names.length - 1 ? use(name, at) : `if (i < ${(i + 1) * span}u) { ${use(name, at)} }`;
      })
      .join(" ");
  const get = `fn slot${index}_get(i: u32) -> ${type} { ${cases((name, at) => `return ${name}[${at}];`)} }`;
  const set = `fn slot${index}_set(i: u32, v: ${type}) { ${cases((name, at) => `${name}[${at}] = v; return;`)} }`;
  return [...variables, get, ...(writable ? [set] : [])].join("\n");
}

function accessors({ name, elements, access }: BufferUse, slot: Slot, { slot: slotIndex, first }: Layout["places"][number]): string {
  const word = wordTypeOf(elements);
  const type = typeName(word);
  const register = registerType(elements);
  const codec = codecOf(elements);
  const direct = slot.word.base === word.base && slot.word.lanes === word.lanes;
  const start = first > 0 ? ` + p.${name}_first` : "";
  const index = word.lanes === 1 || !start ? `i${start}` : `i + p.${name}_first / ${word.lanes}u`;
  const lines: string[] = [];
  if (access === "read" || access === "modify") {
    lines.push(
      `fn ${name}_raw(i: u32) -> ${type} { return ${direct ? `slot${slotIndex}_get(${index})` : gathered(word, slotIndex, start)}; }`,
    );
    lines.push(`fn ${name}_at(i: u32) -> ${register} { ${codec.read(name)} }`);
  }
  if (access !== "read" && codec.write) {
    lines.push(
      `fn ${name}_set(i: u32, v: ${type}) { ${direct ? `slot${slotIndex}_set(${index}, v);` : scattered(word, slotIndex, start)} }`,
    );
    lines.push(`fn ${name}_put(i: u32, v: ${register}) { ${codec.write(name)} }`);
  }
  return lines.join("\n");
}

const at = ({ lanes }: WordType, start: string, lane: number) =>
  `i${lanes === 1 ? "" : ` * ${lanes}u`}${start}${lane > 0 ? ` + ${lane}u` : ""}`;
const lane = (i: number) => "xyzw"[i]!;

/** A vector out of a slot of single words. */
function gathered(word: WordType, slot: number, start: string): string {
  const words = Array.from({ length: word.lanes }, (_, i) => `slot${slot}_get(${at(word, start, i)})`);
  const whole = word.lanes === 1 ? words[0]! : `vec${word.lanes}<u32>(${words.join(", ")})`;
  return `bitcast<${typeName(word)}>(${whole})`;
}

function scattered(word: WordType, slot: number, start: string): string {
  const bits = word.lanes === 1 ? "bitcast<u32>(v)" : `bitcast<vec${word.lanes}<u32>>(v)`;
  return Array.from({ length: word.lanes }, (_, i) => {
    const value = word.lanes === 1 ? bits : `${bits}.${lane(i)}`;
    return `slot${slot}_set(${at(word, start, i)}, ${value});`;
  }).join(" ");
}

const typeOf = (param: Param): string => Object.keys(param)[0]!;

/** The uniform with the parameters, and the place of a workgroup in a line that was folded into a plane. */
function parameters(params: Readonly<Record<string, Param>>, binding: number): string {
  const fields = ["grid_x: u32", ...Object.entries(params).map(([name, param]) => `${name}: ${typeOf(param)}`)];
  return [
    `struct Params { ${fields.join(", ")} }`,
    `@group(0) @binding(${binding}) var<uniform> p: Params;`,
    "fn group_of(workgroup: vec3<u32>) -> u32 { return workgroup.x + workgroup.y * p.grid_x; }",
  ].join("\n");
}

/** The words of the uniform. */
export function parameterWords(params: Readonly<Record<string, Param>>, gridX: number): Uint32Array<ArrayBuffer> {
  const entries = Object.values(params);
  const words = new Uint32Array(Math.ceil((entries.length + 1) / 4) * 4);
  const view = new DataView(words.buffer);
  words[0] = gridX;
  for (const [i, param] of entries.entries()) {
    if ("f32" in param) view.setFloat32(4 * i + 4, param.f32, true);
    else if ("i32" in param) view.setInt32(4 * i + 4, param.i32, true);
    else view.setUint32(4 * i + 4, param.u32, true);
  }
  return words;
}
