import { listDirectory } from "#platform";
import { DataError } from "../errors.ts";
import { tokenizerFromJSON } from "../tokenizers/from-json.ts";
import { HuggingFaceTokenizer, type JSONObject } from "../tokenizers/huggingface.ts";
import type { Tokenizer, TokenizerJSON } from "../tokenizers/tokenizer.ts";
import { readText } from "./text-chunks.ts";

/**
 * The tokenizer of a checkpoint directory: `tokenizer.json` as published (with `tokenizer_config.json` and
 * `special_tokens_map.json` where they are), or as `JSON.stringify(tokenizer)` writes it. Node only.
 * @throws DataError saying which file is missing, unreadable or not what it should be.
 */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const names = await entries(directory);
  if (!names.includes("tokenizer.json")) {
    const old = names.includes("merges.txt") || names.includes("tokenizer.model");
    const remedy = old ? "It holds an older format; save it with a fast tokenizer of transformers to get tokenizer.json." : "";
    throw new DataError(`${directory}: there is no tokenizer.json. ${remedy || `There is: ${names.join(", ") || "nothing"}.`}`);
  }
  const read = async (name: string): Promise<JSONObject> => (names.includes(name) ? readJSON(`${directory}/${name}`) : {});
  const tokenizer = await read("tokenizer.json");
  if (typeof tokenizer.kind === "string") return tokenizerFromJSON(tokenizer as TokenizerJSON);
  const config = { ...(await read("special_tokens_map.json")), ...(await read("tokenizer_config.json")) };
  try {
    return new HuggingFaceTokenizer(tokenizer, config);
  } catch (cause) {
    throw new DataError(`${directory}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

async function entries(directory: string): Promise<string[]> {
  try {
    return (await listDirectory(directory)).map(({ name }) => name).sort();
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${directory}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

async function readJSON(path: string): Promise<JSONObject> {
  const text = await readText(path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${path}: not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JSONObject;
  throw new DataError(`${path}: must hold a JSON object.`);
}
