import { localFiles } from "#platform";
import { CheckpointError, codeOf, show } from "../errors.ts";
import type { FileSystem } from "../files.ts";
import type { TensorReader } from "../reader.ts";
import { fileSource, readExactly, type SourceLike, toSource } from "../source.ts";
import type { TensorInfo } from "./header.ts";
import { findTensor, type OpenOptions, openSafetensors } from "./open.ts";

export const indexName = "model.safetensors.index.json";
const maxIndexBytes = 100_000_000;

/** Opens the shards that `index` (`model.safetensors.index.json`) lists as one; `locate` gives the source of a shard's file name. */
export async function openSharded(
  index: SourceLike,
  locate: (file: string) => SourceLike,
  options: OpenOptions = {},
): Promise<TensorReader> {
  const weightMap = await readIndex(index);
  const shards = new Map<string, TensorReader>();
  const close = async () => void (await Promise.all([...shards.values()].map((shard) => shard.close())));
  const name = toSource(index).name;
  try {
    for (const file of [...new Set(weightMap.values())].sort()) shards.set(file, await openShard(file, locate, options, name));
    return shardedReader(name, weightMap, shards, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function openShard(file: string, locate: (file: string) => SourceLike, options: OpenOptions, index: string): Promise<TensorReader> {
  try {
    return await openSafetensors(locate(file), options);
  } catch (cause) {
    throw new CheckpointError(`${index}: shard ${show(file)} cannot be opened: ${(cause as Error).message}`, { cause });
  }
}

async function readIndex(from: SourceLike): Promise<Map<string, string>> {
  const source = toSource(from);
  const refuse = (why: string, cause?: unknown) => new CheckpointError(`${source.name}: ${why}.`, { cause });
  try {
    const size = await source.size();
    if (size > maxIndexBytes) throw refuse(`an index has at most ${maxIndexBytes} bytes, received ${size}`);
    const text = new TextDecoder().decode(await readExactly(source, 0, size, "the index"));
    const map = parseJson(text, refuse)?.weight_map;
    if (typeof map !== "object" || map === null || Array.isArray(map))
      throw refuse(`expected an object with weight_map: {tensor: file}, received ${show(map)}`);
    for (const [name, file] of Object.entries(map)) checkFileName(name, file, refuse);
    return new Map(Object.entries(map)) as Map<string, string>;
  } finally {
    await source.close?.();
  }
}

function parseJson(text: string, refuse: (why: string, cause: unknown) => Error): { weight_map?: unknown } | null {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refuse(`no JSON: ${(cause as Error).message}`, cause);
  }
}

/** An index names files beside itself; anything else could reach for files that are not part of the checkpoint. */
function checkFileName(tensor: string, file: unknown, refuse: (why: string) => Error): void {
  if (typeof file !== "string" || !/^[\w][\w.+-]*\.safetensors$/.test(file) || file.includes(".."))
    throw refuse(`the file of tensor ${show(tensor)} must be a plain name that ends in .safetensors, received ${show(file)}`);
}

function shardedReader(
  name: string,
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, TensorReader>,
  close: () => Promise<void>,
): TensorReader {
  const tensors = new Map<string, TensorInfo>();
  for (const [tensor, file] of weightMap) {
    const info = shards.get(file)!.tensors.get(tensor);
    if (info === undefined)
      throw new CheckpointError(`${name}: tensor ${show(tensor)} is listed in ${show(file)}, which does not have it.`);
    tensors.set(tensor, info);
  }
  for (const [file, shard] of shards)
    for (const tensor of shard.tensors.keys())
      if (weightMap.get(tensor) !== file)
        throw new CheckpointError(
          `${name}: ${show(file)} has tensor ${show(tensor)}, which the index ${weightMap.has(tensor) ? `puts in ${show(weightMap.get(tensor))}` : "does not list"}.`,
        );
  const shardOf = (tensor: string) => shards.get(findTensor(weightMap, tensor, name))!;
  return {
    name,
    tensors,
    metadata: new Map([...shards.values()].flatMap((shard) => [...shard.metadata])),
    chunks: (tensor) => shardOf(tensor).chunks(tensor),
    bytes: async (tensor) => shardOf(tensor).bytes(tensor),
    values: async (tensor, dtype, options) => shardOf(tensor).values(tensor, dtype, options),
    close,
  };
}

/**
 * Opens the weights in a directory: `model.safetensors`, or the shards listed by `model.safetensors.index.json`; or the one file that
 * `path` names.
 */
export async function openWeights(
  path: string,
  { files = localFiles(), ...options }: OpenOptions & { files?: FileSystem } = {},
): Promise<TensorReader> {
  const names = await files.list(path).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOTDIR") return undefined;
    throw new CheckpointError(`${path}: no such checkpoint: expected a directory with model.safetensors, or a safetensors file.`, {
      cause,
    });
  });
  if (names === undefined) return openSafetensors(fileSource(path, files), options);
  const within = (file: string) => fileSource(`${path}/${file}`, files);
  if (names.includes(indexName)) return openSharded(within(indexName), within, options);
  if (names.includes("model.safetensors")) return openSafetensors(within("model.safetensors"), options);
  throw new CheckpointError(
    `${path}: has neither model.safetensors nor ${indexName}; it has ${names.length === 0 ? "no files" : show(names.slice(0, 8))}.`,
  );
}
