import { fileChunks } from "#platform";
import { DataError, integer } from "../errors.ts";

export interface TextChunkOptions {
  /** How much to read at once, in bytes. Default 1 MiB. */
  chunkBytes?: number;
}

/**
 * The text of a UTF-8 file in pieces of about `chunkBytes`, each but the last ending at the end of a line where one is near.
 * A character is never split; a byte order mark at the start is left out. Joined, the pieces are the text.
 * @throws DataError naming the file: unreadable, empty, or no text (not UTF-8, or with NUL bytes).
 */
export async function* textChunks(path: string, options: TextChunkOptions = {}): AsyncGenerator<string, void, undefined> {
  const chunkBytes = integer("textChunks", "chunkBytes", options.chunkBytes ?? 1 << 20, 1);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let bytes = 0;
  for await (const chunk of readable(path, chunkBytes)) {
    const zero = chunk.indexOf(0);
    if (zero >= 0) throw new DataError(`${path}: byte ${bytes + zero} is zero, so this is no text file. Give a UTF-8 text.`);
    rest += decode(decoder, path, bytes, chunk);
    bytes += chunk.length;
    const cut = rest.lastIndexOf("\n") + 1 || (rest.length > 2 * chunkBytes ? wholeCharacters(rest) : 0);
    if (cut === 0) continue;
    yield rest.slice(0, cut);
    rest = rest.slice(cut);
  }
  rest += decode(decoder, path, bytes);
  if (bytes === 0) throw new DataError(`${path}: the file is empty.`);
  if (rest !== "") yield rest;
}

/** The whole text of a UTF-8 file. Throws as `textChunks` does. */
export async function readText(path: string): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of textChunks(path)) pieces.push(piece);
  return pieces.join("");
}

/** The chunks of a file, where a failure to read says which file and why. */
async function* readable(path: string, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* fileChunks(path, chunkBytes);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${path}: cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Decodes the next chunk, or, without one, ends the text. */
function decode(decoder: TextDecoder, path: string, before: number, chunk?: Uint8Array): string {
  try {
    return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
  } catch (cause) {
    const where = chunk ? `between bytes ${Math.max(0, before - 3)} and ${before + chunk.length}` : "at its end";
    throw new DataError(`${path}: not UTF-8 ${where}. Give a UTF-8 text, or convert the file first.`, { cause });
  }
}

/** The length of `text` without a last high surrogate, whose other half is still to come. */
function wholeCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length;
}
