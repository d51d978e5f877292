import { type DType, encode, type HostArray } from "@x/tensor";
import { CheckpointError, show } from "../errors.ts";
import type { Sink } from "../sink.ts";
import { fileDTypes, toFileDType } from "./dtypes.ts";

/** A tensor to be written: values in row-major order, or a function that brings them when their turn comes. */
export interface SavedTensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly values: HostArray | (() => HostArray | Promise<HostArray>);
}

/** Names and tensors; a Map is one. */
export type SavedTensors = Iterable<readonly [name: string, tensor: SavedTensor]>;

export interface WriteOptions {
  /** Strings kept in the header. Default `{ format: "pt" }`, which readers of published checkpoints insist on. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Writes a safetensors file to `sink`, a tensor at a time: widest elements first, then by name, so that every tensor is aligned. Writes
 * what it is given: leave out the aliases of tied tensors.
 */
export async function writeSafetensors(
  tensors: SavedTensors,
  sink: Sink,
  { metadata = { format: "pt" } }: WriteOptions = {},
): Promise<void> {
  const ordered = order(tensors, sink.name);
  await sink.write(encodeHeader(ordered, metadata));
  for (const [name, tensor] of ordered) await writeTensor(name, tensor, sink);
}

type Entry = readonly [string, SavedTensor];

export const elementsOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Bytes a tensor takes in a file. */
export const fileBytes = ({ shape, dtype }: SavedTensor): number => (elementsOf(shape) * fileDTypes.get(toFileDType(dtype))!.bits) / 8;

function order(tensors: SavedTensors, file: string): Entry[] {
  const bits = ([, { dtype }]: Entry) => fileDTypes.get(toFileDType(dtype))!.bits;
  const entries = [...tensors].sort((a, b) => bits(b) - bits(a) || (a[0] < b[0] ? -1 : 1));
  const seen = new Set<string>();
  for (const [name, tensor] of entries) {
    const refuse = (why: string) => new CheckpointError(`${file}: tensor ${show(name)} ${why}.`);
    if (name === "__metadata__") throw refuse("has a name that the format keeps for itself");
    if (/\p{Surrogate}/u.test(name)) throw refuse("has a name that is no valid Unicode text");
    if (seen.has(name)) throw refuse("is given twice");
    if (!tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) throw refuse(`has no valid shape: ${show(tensor.shape)}`);
    seen.add(name);
  }
  return entries;
}

/** The header is text made here, not by JSON.stringify of an object: a tensor may be called "__proto__", and order matters. */
function encodeHeader(entries: readonly Entry[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const fields = Object.keys(metadata).length > 0 ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let at = 0;
  for (const [name, tensor] of entries) {
    const end = at + fileBytes(tensor);
    fields.push(
      `${JSON.stringify(name)}:{"dtype":"${toFileDType(tensor.dtype)}","shape":${JSON.stringify(tensor.shape)},"data_offsets":[${at},${end}]}`,
    );
    at = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

const elementsAtOnce = 2 ** 20;

async function writeTensor(name: string, { shape, dtype, values }: SavedTensor, sink: Sink): Promise<void> {
  const array = typeof values === "function" ? await values() : values;
  const expected = elementsOf(shape);
  if (array.length !== expected)
    throw new CheckpointError(
      `${sink.name}: tensor ${show(name)} of shape ${show(shape)} has ${expected} values, received ${array.length}.`,
    );
  for (let at = 0; at < expected; at += elementsAtOnce)
    await sink.write(encode(array.subarray(at, Math.min(expected, at + elementsAtOnce)), dtype));
}
