/** Tokens of the prompt that are decoded along with the first generated ones: enough for any character that they complete. */
const contextTokens = 8;

/**
 * Turns tokens into text piece by piece, never emitting half a character. A token may end inside the bytes of a character, which
 * decoders show as U+FFFD: that end is held until later tokens complete it, or until `flush`.
 *
 * `decode` must be a pure function of the ids whose text only grows at its end as ids are added, apart from that U+FFFD. Each call
 * decodes a few ids: those that made the last piece, for tokenizers that look at what stands before, and the new ones.
 */
export class TextStream {
  readonly #decode: (ids: number[]) => string;
  #ids: number[];
  /** Ids at the front of the window that belong to text already emitted. */
  #contextLength: number;
  /** The part of the window's text that has been emitted, or belongs to the prompt. */
  #emitted: string;

  /** `prompt` is what the text continues: a space or a character that began there ends up right. */
  constructor(decode: (ids: number[]) => string, prompt: ArrayLike<number> = []) {
    this.#decode = decode;
    this.#ids = Array.from(prompt).slice(-contextTokens);
    this.#contextLength = this.#ids.length;
    this.#emitted = stablePart(decode([...this.#ids]));
  }

  /** The text that `token` completes: often a word, sometimes nothing. */
  push(token: number): string {
    this.#ids.push(token);
    const text = this.#decode([...this.#ids]);
    const stable = stablePart(text);
    if (!stable.startsWith(this.#emitted)) return "";
    const piece = stable.slice(this.#emitted.length);
    this.#emitted = stable;
    if (piece !== "" && stable === text) this.#moveWindow();
    return piece;
  }

  /** The text held back, now that no more tokens come. */
  flush(): string {
    const text = this.#decode([...this.#ids]);
    let common = 0;
    while (common < this.#emitted.length && text[common] === this.#emitted[common]) common++;
    this.#emitted = text;
    return text.slice(common);
  }

  #moveWindow(): void {
    this.#ids = this.#ids.slice(this.#contextLength);
    this.#contextLength = this.#ids.length;
    this.#emitted = this.#decode([...this.#ids]);
  }
}

/**
 * The part of decoded text that further tokens cannot change: without the U+FFFD at its end (up to three, as decoders show an
 * incomplete character by one mark or by one per byte) and without half a surrogate pair.
 */
function stablePart(text: string): string {
  let end = text.length;
  while (end > 0 && text.length - end < 3 && text[end - 1] === "\ufffd") end--;
  const last = text.charCodeAt(end - 1);
  return text.slice(0, end === text.length && last >= 0xd800 && last < 0xdc00 ? end - 1 : end);
}
