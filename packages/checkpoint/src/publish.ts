import { CheckpointError, show } from "./errors.ts";
import { shapesToPublished, toPublished } from "./names/apply.ts";
import { type Move, type NameTable, sameNames } from "./names/rename.ts";
import { type SavedTensor, type SavedTensors, type WriteOptions, writeSafetensors } from "./safetensors/write.ts";
import type { Sink } from "./sink.ts";

/** Tensors of ours under their published names and in their published layouts; values are fetched when each is written. */
export function published(tensors: SavedTensors, names: NameTable): [string, SavedTensor][] {
  const ours = new Map(tensors);
  const { moves, unmatched } = names.toPublished(ours.keys());
  if (unmatched.length > 0) throw new CheckpointError(`The name table has no published name for: ${unmatched.join(", ")}.`);
  return moves.flatMap((move) => publishMove(move, ours));
}

function publishMove(move: Move, ours: ReadonlyMap<string, SavedTensor>): [string, SavedTensor][] {
  const parts = move.ours.map((name) => {
    const part = ours.get(name);
    if (part === undefined)
      throw new CheckpointError(`${show(move.published[0])} is published from ${move.ours.join(", ")}: ${show(name)} is absent.`);
    return part;
  });
  const dtype = parts[0]!.dtype;
  if (parts.some((part) => part.dtype !== dtype))
    throw new CheckpointError(`${show(move.published[0])} is published from ${move.ours.join(", ")}, which must be of one dtype.`);
  const shapes = shapesToPublished(
    move,
    parts.map((part) => part.shape),
  );
  const values = (which: number) => async () => {
    const read = parts.map(async ({ shape, values }) => ({ shape, values: typeof values === "function" ? await values() : values }));
    return toPublished(move, await Promise.all(read), which).values;
  };
  return move.published.map((name, which) => [name, { shape: shapes[which]!, dtype, values: values(which) }]);
}

/** Writes tensors of ours as one safetensors file, under the names of `names`. */
export async function saveCheckpoint(
  tensors: SavedTensors,
  sink: Sink,
  names: NameTable = sameNames,
  options: WriteOptions = {},
): Promise<void> {
  await writeSafetensors(names === sameNames ? tensors : published(tensors, names), sink, options);
  await sink.close?.();
}
