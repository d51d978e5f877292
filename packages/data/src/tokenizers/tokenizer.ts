import type { TextStream } from "./text-stream.ts";

export interface EncodeOptions {
  /** Add what the tokenizer's own template adds (a begin token, say). Default true; tokenizers without a template add nothing. */
  addSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens (begin, end, padding) out of the text. Default true. */
  skipSpecial?: boolean;
}

/** What `toJSON` gives: `kind` says which tokenizer, the rest rebuilds it. */
export interface TokenizerJSON {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** Text to token ids and back. Everything that reads or writes text takes this interface, never a particular tokenizer. */
export interface Tokenizer {
  /** Ids are below this. */
  readonly vocabSize: number;
  /** The id that begins a text, where there is one. */
  readonly bos?: number;
  /** The id that ends a text, where there is one. */
  readonly eos?: number;
  /** True when encode(a + b) always equals encode(a) followed by encode(b), so that a text may be encoded in pieces. */
  readonly concatenative: boolean;
  /** Token ids of `text`, one dimension, each in [0, vocabSize). */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** The text of `ids`. A byte sequence that is no character becomes U+FFFD. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** Decodes ids that arrive a few at a time, without ever giving half a character. */
  streamDecoder(options?: DecodeOptions): TextStream;
  /** A JSON value from which `tokenizerFromJSON` makes this tokenizer again. */
  toJSON(): TokenizerJSON;
}
