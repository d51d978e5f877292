import { DataError, show } from "../errors.ts";
import { ByteTokenizer } from "./bytes.ts";
import { CharacterTokenizer } from "./characters.ts";
import { HuggingFaceTokenizer } from "./huggingface.ts";
import type { Tokenizer, TokenizerJSON } from "./tokenizer.ts";

/** Each kind of `toJSON`, and what makes a tokenizer of it. */
const KINDS: Readonly<Record<string, { fromJSON(json: TokenizerJSON): Tokenizer }>> = {
  bytes: ByteTokenizer,
  characters: CharacterTokenizer,
  huggingface: HuggingFaceTokenizer,
};

/** The tokenizer whose `toJSON` gave `json`, as a checkpoint holds it. */
export function tokenizerFromJSON(json: TokenizerJSON): Tokenizer {
  const kind = Object.hasOwn(KINDS, json?.kind) ? KINDS[json.kind] : undefined;
  if (kind) return kind.fromJSON(json);
  throw new DataError(`tokenizerFromJSON: kind must be one of ${Object.keys(KINDS).join(", ")}, got ${show(json?.kind)}.`);
}
