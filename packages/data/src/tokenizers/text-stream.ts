import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

const REPLACEMENT = "\uFFFD";
/** Decoders show an unfinished UTF-8 sequence (three bytes at most) as one U+FFFD, or as one per byte. */
const MOST_HELD = 3;

/**
 * Text from token ids that arrive a few at a time. What `push` returns, joined, and then `flush`, is `decode` of all ids.
 * Nothing is given out that a later id may change: a trailing U+FFFD, which is how half a character looks, waits for the next id.
 *
 * Only a window of the latest ids is decoded each time. It begins with ids whose text is already out, because the text of a token
 * may depend on the one before it (a word piece's space).
 */
export class TextStream {
  readonly #tokenizer: Pick<Tokenizer, "decode">;
  readonly #options: DecodeOptions;
  #window: number[] = [];
  /** How many ids at the start of the window are context: their text is out. */
  #context = 0;
  /** How much of the window's text is out, in UTF-16 units. */
  #given = 0;

  constructor(tokenizer: Pick<Tokenizer, "decode">, options: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** Takes the next id or ids; returns the text that is now certain, up to the last complete character. May be empty. */
  push(ids: number | ArrayLike<number>): string {
    if (typeof ids === "number") this.#window.push(ids);
    else for (let i = 0; i < ids.length; i++) this.#window.push(ids[i]!);
    const text = this.#tokenizer.decode(this.#window, this.#options);
    const stable = stableLength(text);
    if (stable <= this.#given) return "";
    const piece = text.slice(this.#given, stable);
    this.#given = stable;
    if (stable === text.length) this.#slide(text);
    return piece;
  }

  /** Ends the stream: returns what was held back, a broken character as U+FFFD, and starts afresh. */
  flush(): string {
    const rest = this.#tokenizer.decode(this.#window, this.#options).slice(this.#given);
    this.#window = [];
    this.#context = 0;
    this.#given = 0;
    return rest;
  }

  /** Everything is out: the ids since the last slide become the context of the next ones. */
  #slide(text: string): void {
    const context = this.#window.slice(this.#context);
    const contextText = this.#tokenizer.decode(context, this.#options);
    // A context that shows nothing by itself would make the next token look like the first of the text.
    if (contextText === "" || !text.endsWith(contextText)) return;
    this.#window = context;
    this.#context = context.length;
    this.#given = contextText.length;
  }
}

/** How much of `text` no later token can change. */
function stableLength(text: string): number {
  let end = text.length;
  while (end > 0 && text.length - end < MOST_HELD && text[end - 1] === REPLACEMENT) end--;
  return end;
}
