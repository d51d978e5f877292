import { DataError, integer, show } from "../errors.ts";
import { TextStream } from "./text-stream.ts";
import type { DecodeOptions, Tokenizer, TokenizerJSON } from "./tokenizer.ts";

const BYTES = 256;

export interface ByteTokenizerOptions {
  /** Names of special tokens; they take the ids from 256 on. They never come out of `encode`. */
  specials?: readonly string[];
  /** Which of them begins a text. */
  bos?: string;
  /** Which of them ends a text. */
  eos?: string;
}

/**
 * One token per UTF-8 byte, ids 0 to 255, then the special tokens. Encodes every text
 * (a lone surrogate, which is no Unicode text, as U+FFFD).
 */
export class ByteTokenizer implements Tokenizer {
  readonly concatenative = true;
  readonly vocabSize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly specials: readonly string[];

  constructor({ specials = [], bos, eos }: ByteTokenizerOptions = {}) {
    if (new Set(specials).size !== specials.length)
      throw new DataError(`ByteTokenizer: specials has a name twice: ${specials.join(", ")}.`);
    this.specials = [...specials];
    this.vocabSize = BYTES + specials.length;
    if (bos !== undefined) this.bos = this.special(bos);
    if (eos !== undefined) this.eos = this.special(eos);
  }

  static fromJSON(json: TokenizerJSON): ByteTokenizer {
    const { specials, bos, eos } = json;
    if (!Array.isArray(specials) || !specials.every((name) => typeof name === "string")) {
      throw new DataError(`ByteTokenizer.fromJSON: expected specials, a list of names, got ${show(specials)}.`);
    }
    return new ByteTokenizer({ specials, ...(typeof bos === "string" && { bos }), ...(typeof eos === "string" && { eos }) });
  }

  /** The id of a special token. */
  special(name: string): number {
    const index = this.specials.indexOf(name);
    if (index >= 0) return BYTES + index;
    throw new DataError(`ByteTokenizer: ${show(name)} is not a special token; there are: ${this.specials.join(", ") || "none"}.`);
  }

  encode(text: string): Int32Array {
    return Int32Array.from(new TextEncoder().encode(text));
  }

  decode(ids: ArrayLike<number>, { skipSpecial = true }: DecodeOptions = {}): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const pieces: string[] = [];
    let bytes: number[] = [];
    const end = () => {
      pieces.push(decoder.decode(Uint8Array.from(bytes)));
      bytes = [];
    };
    for (let i = 0; i < ids.length; i++) {
      const id = integer("ByteTokenizer.decode", `id at position ${i}`, ids[i], 0);
      if (id >= this.vocabSize) throw new DataError(`ByteTokenizer.decode: id ${id} at position ${i} is not below ${this.vocabSize}.`);
      if (id < BYTES) bytes.push(id);
      else if (!skipSpecial) {
        end();
        pieces.push(this.specials[id - BYTES]!);
      }
    }
    end();
    return pieces.join("");
  }

  streamDecoder(options?: DecodeOptions): TextStream {
    return new TextStream(this, options);
  }

  toJSON(): TokenizerJSON {
    return {
      kind: "bytes",
      specials: this.specials,
      ...(this.bos !== undefined && { bos: this.specials[this.bos - BYTES] }),
      ...(this.eos !== undefined && { eos: this.specials[this.eos - BYTES] }),
    };
  }
}
