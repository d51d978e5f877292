import type { DType, HostArray } from "@x/tensor";
import { CheckpointError, show } from "../errors.ts";
import type { TensorReader } from "../reader.ts";
import { readExactly, type Source, type SourceLike, toSource } from "../source.ts";
import { allocate, type ConvertOptions, decodeInto, refusal } from "./decode.ts";
import { fileDTypes, nativeDType } from "./dtypes.ts";
import { type Header, headerLength, parseHeader, type TensorInfo } from "./header.ts";

export interface OpenOptions {
  /** Bytes held at once beside the result while a tensor is read. Default 16 MiB. */
  readonly chunkBytes?: number;
}

/** Opens a safetensors file: reads and checks its header; tensors are read when asked for. */
export async function openSafetensors(from: SourceLike, { chunkBytes = 2 ** 24 }: OpenOptions = {}): Promise<TensorReader> {
  const source = toSource(from);
  try {
    return fileReader(source, await readHeader(source), Math.max(8, chunkBytes - (chunkBytes % 8)));
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

async function readHeader(source: Source): Promise<Header> {
  const fileBytes = await source.size();
  const prefix = await readExactly(source, 0, Math.min(8, fileBytes), "the header's length");
  const length = headerLength(prefix, fileBytes, source.name);
  return parseHeader(await readExactly(source, 8, 8 + length, "the header"), fileBytes, source.name);
}

function fileReader(source: Source, { tensors, metadata }: Header, chunkBytes: number): TensorReader {
  const find = (name: string): TensorInfo => findTensor(tensors, name, source.name);

  async function* chunks(name: string): AsyncGenerator<Uint8Array> {
    const { begin, end } = find(name);
    for (let at = begin; at < end; at += chunkBytes) yield readExactly(source, at, Math.min(end, at + chunkBytes), `tensor ${show(name)}`);
  }

  return {
    name: source.name,
    tensors,
    metadata,
    chunks,
    async bytes(name) {
      const { begin, end } = find(name);
      const out = allocate("u8", end - begin, `${source.name}: tensor ${show(name)}`) as Uint8Array;
      let at = 0;
      for await (const chunk of chunks(name)) {
        out.set(chunk, at);
        at += chunk.length;
      }
      return out;
    },
    values: (name, dtype, options) => readValues(find(name), chunks(name), `${source.name}: tensor ${show(name)}`, dtype, options),
    close: async () => source.close?.(),
  };
}

export function findTensor<T>(tensors: ReadonlyMap<string, T>, name: string, file: string): T {
  const found = tensors.get(name);
  if (found === undefined) throw new CheckpointError(`${file}: has no tensor ${show(name)}; it has ${tensors.size} others.`);
  return found;
}

async function readValues(
  info: TensorInfo,
  chunks: AsyncIterable<Uint8Array>,
  who: string,
  dtype: DType | undefined = nativeDType(info.dtype),
  options: ConvertOptions = {},
): Promise<HostArray> {
  const why = dtype === undefined ? `${info.dtype} values cannot be read (their bytes can)` : refusal(info.dtype, dtype, options);
  if (dtype === undefined || why !== undefined) throw new CheckpointError(`${who}: ${why}.`);
  const elementBytes = fileDTypes.get(info.dtype)!.bits / 8;
  const out = allocate(dtype, (info.end - info.begin) / elementBytes, who);
  let at = 0;
  for await (const chunk of chunks) {
    decodeInto(chunk, info.dtype, out, at, dtype, who);
    at += chunk.length / elementBytes;
  }
  return out;
}
