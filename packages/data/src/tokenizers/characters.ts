import { DataError, show } from "../errors.ts";
import { TextStream } from "./text-stream.ts";
import type { DecodeOptions, Tokenizer, TokenizerJSON } from "./tokenizer.ts";

/** One token per character (Unicode code point); the ids follow the order of the code points, as in nanoGPT. No special tokens. */
export class CharacterTokenizer implements Tokenizer {
  readonly concatenative = true;
  readonly vocabSize: number;
  readonly #characters: readonly string[];
  readonly #ids: ReadonlyMap<number, number>;

  /** @param alphabet every character that may occur; order and repetition do not matter. */
  constructor(alphabet: Iterable<string>) {
    const points = new Set<number>();
    for (const piece of alphabet) for (const character of piece) points.add(character.codePointAt(0)!);
    const sorted = [...points].sort((a, b) => a - b);
    if (sorted.length === 0) throw new DataError("CharacterTokenizer: the alphabet is empty; give a text with at least one character.");
    this.#characters = sorted.map((point) => String.fromCodePoint(point));
    this.#ids = new Map(sorted.map((point, id) => [point, id]));
    this.vocabSize = sorted.length;
  }

  /** The tokenizer of the characters that occur in `text`. */
  static fromText(text: string): CharacterTokenizer {
    return new CharacterTokenizer(text);
  }

  static fromJSON(json: TokenizerJSON): CharacterTokenizer {
    const points = json.codePoints;
    if (!Array.isArray(points) || !points.every((point) => Number.isInteger(point) && point >= 0 && point <= 0x10ffff)) {
      throw new DataError(`CharacterTokenizer.fromJSON: expected codePoints, a list of Unicode code points, got ${show(points)}.`);
    }
    return new CharacterTokenizer(points.map((point) => String.fromCodePoint(point)));
  }

  encode(text: string): Int32Array {
    const ids = new Int32Array(text.length);
    let count = 0;
    for (let at = 0; at < text.length; ) {
      const point = text.codePointAt(at)!;
      const id = this.#ids.get(point);
      if (id === undefined) throw new DataError(this.#unknown(text, at, point));
      ids[count++] = id;
      at += point > 0xffff ? 2 : 1;
    }
    return count === ids.length ? ids : ids.slice(0, count);
  }

  decode(ids: ArrayLike<number>): string {
    const pieces = new Array<string>(ids.length);
    for (let i = 0; i < ids.length; i++) {
      const character = this.#characters[ids[i]!];
      if (character === undefined) {
        throw new DataError(`CharacterTokenizer.decode: id ${ids[i]} at position ${i} is not in the vocabulary of ${this.vocabSize}.`);
      }
      pieces[i] = character;
    }
    return pieces.join("");
  }

  streamDecoder(options?: DecodeOptions): TextStream {
    return new TextStream(this, options);
  }

  toJSON(): TokenizerJSON {
    return { kind: "characters", codePoints: [...this.#ids.keys()] };
  }

  #unknown(text: string, at: number, point: number): string {
    const before = text.slice(0, at).split("\n");
    const name = `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
    return (
      `CharacterTokenizer.encode: the character ${show(String.fromCodePoint(point))} (${name}) at position ${at} ` +
      `(line ${before.length}, column ${before.at(-1)!.length + 1}) is not among the ${this.vocabSize} characters of the vocabulary. ` +
      "Leave it out, build the tokenizer from a text that has it, or use a ByteTokenizer."
    );
  }
}
