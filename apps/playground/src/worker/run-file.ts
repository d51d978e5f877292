import {
  blobSource,
  CheckpointError,
  type FileSystem,
  type Json,
  nativeDType,
  type OpenTraining,
  openSafetensors,
  openTraining,
  type SavedTensor,
  saveTraining,
  type TensorReader,
  writeSafetensors,
} from "@x/checkpoint";

/** The entry of a file's metadata that holds what is no tensor. */
const key = "playground";
/** Stands before the names of the optimizer's tensors; the model's have their own names, so that other programs find them. */
const prefix = "optimizer.";

/** The newest checkpoint of a run as one safetensors file: weights, moments, and in its metadata the place in the text and the streams of random numbers. */
export async function packRun(directory: string, files: FileSystem): Promise<{ readonly blob: Blob; readonly step: number }> {
  const opened = await openTraining(directory, { files });
  if (!opened) throw new CheckpointError("There is no checkpoint to save yet.");
  try {
    const { step, json } = opened;
    const parts: Uint8Array<ArrayBuffer>[] = [];
    const sink = { name: "the file", write: async (bytes: Uint8Array) => void parts.push(bytes.slice()) };
    await writeSafetensors(tensorsOf(opened), sink, { metadata: { format: "pt", [key]: JSON.stringify({ step, json }) } });
    return { blob: new Blob(parts, { type: "application/octet-stream" }), step };
  } finally {
    await opened.close();
  }
}

function tensorsOf({ readers }: OpenTraining): [string, SavedTensor][] {
  return [...listed(readers.model!, ""), ...listed(readers.state!, prefix)];
}

function listed(reader: TensorReader, before: string): [string, SavedTensor][] {
  return [...reader.tensors].map(([name, { shape, dtype }]) => [
    before + name,
    { shape, dtype: nativeDType(dtype)!, values: () => reader.values(name) },
  ]);
}

/** Makes a file that `packRun` made a checkpoint in `directory` again, and returns its JSON. Throws where the file is anything else. */
export async function unpackRun(file: Blob, name: string, directory: string, files: FileSystem): Promise<Json> {
  const reader = await openSafetensors(blobSource(file, name));
  try {
    const { step, json } = readMetadata(reader, name);
    const entries = listed(reader, "");
    const [state, model] = [true, false].map((ofOptimizer) => entries.filter(([tensor]) => tensor.startsWith(prefix) === ofOptimizer));
    const bare = state!.map(([tensor, saved]): [string, SavedTensor] => [tensor.slice(prefix.length), saved]);
    await saveTraining(directory, { step, tensors: { model: model!, state: bare }, json }, { files, keep: 1 });
    return json;
  } finally {
    await reader.close();
  }
}

function readMetadata({ metadata }: TensorReader, name: string): { readonly step: number; readonly json: Json } {
  const text = metadata.get(key);
  if (text === undefined)
    throw new CheckpointError(
      `${name}: is a safetensors file, but not one that this page saved: it has weights, and nothing says of what model or how to go on.`,
    );
  try {
    const { step, json } = JSON.parse(text) as { step: number; json: Json };
    return { step, json };
  } catch (cause) {
    throw new CheckpointError(`${name}: what it says of its run is damaged.`, { cause });
  }
}
