import { DataError } from "../errors.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { readText, type TextChunkOptions, textChunks } from "./text-chunks.ts";

/** Token ids, two bytes each where the vocabulary allows it. */
export type TokenArray = Uint16Array | Int32Array;

/** The token ids of a text, [length], as small as the vocabulary allows; no special tokens are added. */
export function encodeText(tokenizer: Tokenizer, text: string): TokenArray {
  const ids = tokenizer.encode(text, { addSpecial: false });
  return tokenizer.vocabSize <= 0x10000 ? Uint16Array.from(ids) : ids;
}

/**
 * The token ids of a UTF-8 file, [length]. Where the tokenizer is `concatenative` (bytes, characters) the file is read and
 * encoded in pieces, so that no more than the ids is ever in memory; otherwise as a whole, since a cut would change the ids.
 * @throws DataError naming the file: unreadable, empty, no text, or with characters that the tokenizer does not know.
 */
export async function encodeFile(tokenizer: Tokenizer, path: string, options: TextChunkOptions = {}): Promise<TokenArray> {
  if (!tokenizer.concatenative) return named(path, 1, await readText(path), (text) => encodeText(tokenizer, text));
  let tokens: TokenArray = tokenizer.vocabSize <= 0x10000 ? new Uint16Array(1 << 16) : new Int32Array(1 << 16);
  let length = 0;
  let line = 1;
  for await (const piece of textChunks(path, options)) {
    const ids = named(path, line, piece, (text) => tokenizer.encode(text, { addSpecial: false }));
    if (length + ids.length > tokens.length) tokens = grown(tokens, length + ids.length);
    tokens.set(ids, length);
    length += ids.length;
    line += lines(piece);
  }
  return tokens.slice(0, length);
}

/** Runs `encode`; an error says in which file, and in the piece beginning at which line. */
function named<T>(path: string, line: number, text: string, encode: (text: string) => T): T {
  try {
    return encode(text);
  } catch (cause) {
    const place = line > 1 ? `${path}, in the part that begins at line ${line}` : path;
    throw new DataError(`${place}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function grown(tokens: TokenArray, least: number): TokenArray {
  const capacity = Math.max(least, 2 * tokens.length);
  const larger = tokens instanceof Uint16Array ? new Uint16Array(capacity) : new Int32Array(capacity);
  larger.set(tokens);
  return larger;
}

function lines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
