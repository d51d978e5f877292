import { CheckpointError, show } from "../errors.ts";
import { fileDTypes } from "./dtypes.ts";
import { duplicateKey } from "./duplicate-key.ts";

/** The largest header that is read; the published implementation has the same limit. */
export const maxHeaderBytes = 100_000_000;

/** One tensor as the header tells it. */
export interface TensorInfo {
  /** The format's name of the element type, such as "F32". */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Place in the file: bytes [begin, end). */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Length of the header's JSON, from the first 8 bytes of the file. */
export function headerLength(prefix: Uint8Array, fileBytes: number, file: string): number {
  const refuse = (why: string) => new CheckpointError(`${file}: not a safetensors file: ${why}.`);
  if (fileBytes < 8 || prefix.length < 8) throw refuse(`expected at least 8 bytes, received ${Math.min(fileBytes, prefix.length)}`);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > maxHeaderBytes) throw refuse(`its header claims ${length} bytes, at most ${maxHeaderBytes} are allowed`);
  if (length < 2n) throw refuse(`its header claims ${length} bytes, at least 2 are needed`);
  if (length > fileBytes - 8)
    throw refuse(`its header claims ${length} bytes, ${fileBytes - 8} follow. The file was cut short, or is of another format`);
  return Number(length);
}

/** Checks and reads the header's JSON; `fileBytes` is the size of the whole file. */
export function parseHeader(json: Uint8Array, fileBytes: number, file: string): Header {
  const raw = parseJson(json, file);
  const dataStart = 8 + json.length;
  const tensors = new Map<string, TensorInfo>();
  let metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(raw)) {
    if (name === "__metadata__") metadata = parseMetadata(value, file);
    else tensors.set(name, parseEntry(value, dataStart, fileBytes, `${file}: tensor ${show(name)}`));
  }
  checkCoverage(tensors, dataStart, fileBytes, file);
  return { tensors, metadata };
}

function parseJson(json: Uint8Array, file: string): Record<string, unknown> {
  if (json[0] !== 0x7b) throw new CheckpointError(`${file}: the header must start with "{", received byte ${json[0]}.`);
  let text: string;
  let raw: Record<string, unknown>;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
    raw = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new CheckpointError(`${file}: the header is no JSON object in UTF-8: ${(cause as Error).message}.`, { cause });
  }
  // JSON.parse keeps the last of two equal keys in silence; which tensor is meant would depend on the reader.
  const twice = duplicateKey(text);
  if (twice !== undefined) throw new CheckpointError(`${file}: the header names ${show(twice)} twice.`);
  return raw;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function parseMetadata(value: unknown, file: string): Map<string, string> {
  if (!isRecord(value)) throw new CheckpointError(`${file}: __metadata__ must be an object of strings, received ${show(value)}.`);
  for (const [key, text] of Object.entries(value))
    if (typeof text !== "string")
      throw new CheckpointError(`${file}: __metadata__ must map strings to strings, received ${show(text)} under ${show(key)}.`);
  return new Map(Object.entries(value)) as Map<string, string>;
}

/** A count or an offset: an integer from 0 to 2^53 - 1, so that arithmetic on it is exact. */
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseEntry(value: unknown, dataStart: number, fileBytes: number, who: string): TensorInfo {
  if (!isRecord(value)) throw new CheckpointError(`${who}: expected {dtype, shape, data_offsets}, received ${show(value)}.`);
  const own = (key: string): unknown => (Object.hasOwn(value, key) ? value[key] : undefined);
  const [dtype, shape, offsets] = [own("dtype"), own("shape"), own("data_offsets")];
  const info = typeof dtype === "string" ? fileDTypes.get(dtype) : undefined;
  if (info === undefined)
    throw new CheckpointError(`${who}: dtype must be one of ${[...fileDTypes.keys()].join(", ")}; received ${show(dtype)}.`);
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw new CheckpointError(`${who}: shape must be a list of integers from 0 to 2^53 - 1, received ${show(shape)}.`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0]! > offsets[1]!)
    throw new CheckpointError(`${who}: data_offsets must be two integers, begin <= end; received ${show(offsets)}.`);
  const [begin, end] = offsets as [number, number];
  const needed = storageBytes(shape as number[], info.bits);
  if (needed !== end - begin)
    throw new CheckpointError(
      `${who}: ${dtype} ${show(shape)} needs ${needed ?? "more bytes than can be counted, or no whole number of them"}, received data_offsets of ${end - begin} bytes.`,
    );
  if (end > fileBytes - dataStart)
    throw new CheckpointError(
      `${who}: its data ends at byte ${end} of the data, which has ${fileBytes - dataStart}. The file was cut short, or its header is wrong.`,
    );
  return { dtype: dtype as string, shape: (shape as number[]).map((size) => size + 0), begin: dataStart + begin, end: dataStart + end };
}

/** Bytes of a tensor, or undefined if they exceed 2^53 or are no whole number. */
function storageBytes(shape: readonly number[], bits: number): number | undefined {
  if (shape.includes(0)) return 0;
  let total = bits;
  for (const size of shape) {
    total *= size;
    if (total > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return total % 8 === 0 ? total / 8 : undefined;
}

/** Tensors must lie one after the other and fill the file: no byte belongs to two of them, none to nobody. */
function checkCoverage(tensors: ReadonlyMap<string, TensorInfo>, dataStart: number, fileBytes: number, file: string): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  let before = "the header";
  for (const [name, { begin, end }] of ordered) {
    if (begin !== position)
      throw new CheckpointError(
        `${file}: tensor ${show(name)} ${begin < position ? "overlaps" : "leaves a hole after"} ${before}: expected it to begin at byte ${position - dataStart} of the data, received ${begin - dataStart}.`,
      );
    position = end;
    before = `tensor ${show(name)}`;
  }
  if (position !== fileBytes)
    throw new CheckpointError(
      `${file}: ${fileBytes - position} bytes follow ${before} and belong to no tensor: expected a file of ${position} bytes, received ${fileBytes}.`,
    );
}
