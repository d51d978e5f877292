import { localFiles } from "#platform";
import { CheckpointError } from "../errors.ts";
import type { FileSystem } from "../files.ts";
import { writeFile } from "../sink.ts";
import { indexName } from "./sharded.ts";
import { fileBytes, type SavedTensors, type WriteOptions, writeSafetensors } from "./write.ts";

export interface WriteWeightsOptions extends WriteOptions {
  /** Bytes of tensors in a file; a larger tensor has a file of its own. Default 5 GB. */
  readonly maxShardBytes?: number;
  readonly files?: FileSystem;
}

/** Writes `model.safetensors` into a directory, or shards and their index if it would exceed `maxShardBytes`. */
export async function writeWeights(
  tensors: SavedTensors,
  directory: string,
  { maxShardBytes = 5e9, files = localFiles(), ...options }: WriteWeightsOptions = {},
): Promise<void> {
  if (!(maxShardBytes >= 1)) throw new CheckpointError(`writeWeights: maxShardBytes must be at least 1, received ${maxShardBytes}.`);
  const shards = planShards(tensors, maxShardBytes);
  const count = shards.length;
  const padded = (n: number) => String(n).padStart(5, "0");
  const nameOf = (i: number) => (count === 1 ? "model.safetensors" : `model-${padded(i + 1)}-of-${padded(count)}.safetensors`);
  await files.makeDirectory(directory);
  for (const [i, shard] of shards.entries())
    await writeFile(`${directory}/${nameOf(i)}`, (sink) => writeSafetensors(shard, sink, options), files);
  // An index of an earlier, larger save would be read in place of the one file.
  if (count === 1) await files.remove(`${directory}/${indexName}`);
  else {
    const index = encodeIndex(shards, nameOf);
    await writeFile(`${directory}/${indexName}`, (sink) => sink.write(index), files);
  }
}

/** Fills shards in the order of the tensors. */
function planShards(tensors: SavedTensors, maxShardBytes: number): SavedTensors[] {
  const shards: [string, Parameters<typeof fileBytes>[0]][][] = [[]];
  let filled = 0;
  for (const [name, tensor] of tensors) {
    const bytes = fileBytes(tensor);
    if (filled + bytes > maxShardBytes && shards.at(-1)!.length > 0) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push([name, tensor]);
    filled += bytes;
  }
  return shards;
}

function encodeIndex(shards: readonly SavedTensors[], nameOf: (i: number) => string): Uint8Array {
  const lines: string[] = [];
  let total = 0;
  for (const [i, shard] of shards.entries())
    for (const [name, tensor] of shard) {
      lines.push(`    ${JSON.stringify(name)}: "${nameOf(i)}"`);
      total += fileBytes(tensor);
    }
  const text = `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${lines.sort().join(",\n")}\n  }\n}\n`;
  return new TextEncoder().encode(text);
}
