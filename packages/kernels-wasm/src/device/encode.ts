import type { Binding } from "@x/tensor";
import { fieldsOf, wordsOf } from "../abi.ts";
import { layoutOf, packArguments } from "../emit/index.ts";
import type { KernelLaunch, ModuleLaunch, Place, ProgramLaunch, WasmLaunch } from "./launch.ts";

export type Bindings = Readonly<Record<string, Binding>>;

/** The address of a place. */
export function addressOf({ buffer, offset = 0 }: Place, bindings: Bindings, who: string): number {
  const binding = bindings[buffer];
  if (!binding)
    throw new Error(`${who}: a launch names the buffer "${buffer}"; the plan has ${Object.keys(bindings).join(", ") || "none"}.`);
  return (binding.storage as number) + binding.offset + offset;
}

/** Number of a launch's argument words. */
export function wordCount(launch: WasmLaunch): number {
  if ("kernel" in launch) return wordsOf(launch.kernel);
  return "program" in launch ? layoutOf(launch.program, launch.extents.length).words : launch.words.length;
}

const isPlace = (value: unknown): value is Place => typeof value === "object" && value !== null && "buffer" in value;

/** The argument words of a built-in kernel: addresses and integers as they are, f32 as bits. */
export function kernelWords({ kernel, args }: KernelLaunch, bindings: Bindings): Int32Array<ArrayBuffer> {
  const words = new Int32Array(wordsOf(kernel));
  const floats = new Float32Array(words.buffer);
  let at = 0;
  for (const field of fieldsOf(kernel)) {
    const value = (args as Readonly<Record<string, number | ArrayLike<number> | Place | undefined>>)[field.name];
    if (value === undefined) {
      if (!field.optional) throw new Error(`kernel ${kernel}: argument "${field.name}" is missing; it is ${field.type}.`);
    } else if (isPlace(value)) words[at] = addressOf(value, bindings, kernel);
    else {
      const target = field.type === "f32" && !field.pointer ? floats : words;
      if (typeof value === "number") target[at] = value;
      else for (let i = 0; i < field.words; i++) target[at + i] = value[i] ?? 0;
    }
    at += field.words;
  }
  return words;
}

/** The argument words of an emitted program. */
export function programWords(
  { program, extents, access, strides, leaves, out }: ProgramLaunch,
  bindings: Bindings,
): Int32Array<ArrayBuffer> {
  const iteration = { extents, access, strides };
  const at = (place: Place) => addressOf(place, bindings, "pointwise");
  return new Int32Array(packArguments(program, iteration, { leaves: leaves.map(at), outputs: [at(out)] }).buffer);
}

/** The argument words of a foreign module's function. */
export function moduleWords({ words, export: name }: ModuleLaunch, bindings: Bindings): Int32Array<ArrayBuffer> {
  return Int32Array.from(words, (word) => (isPlace(word) ? addressOf(word, bindings, name) : word) | 0);
}
