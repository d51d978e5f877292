import { CheckpointError, show } from "./errors.ts";
import { readExactly, type SourceLike, toSource } from "./source.ts";

const maxBytes = 100_000_000;

/** A JSON object from a file beside the weights: config.json and its like. */
export async function readJson(from: SourceLike): Promise<Readonly<Record<string, unknown>>> {
  const source = toSource(from);
  try {
    const size = await source.size();
    if (size > maxBytes) throw new CheckpointError(`${source.name}: a JSON file has at most ${maxBytes} bytes here, received ${size}.`);
    const text = new TextDecoder().decode(await readExactly(source, 0, size, "the file"));
    const value = parse(text, source.name);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new CheckpointError(`${source.name}: expected a JSON object, received ${show(value)}.`);
    return value as Readonly<Record<string, unknown>>;
  } finally {
    await source.close?.();
  }
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${name}: no JSON: ${(cause as Error).message}.`, { cause });
  }
}
