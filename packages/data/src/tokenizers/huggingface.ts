import { Tokenizer as Inner } from "@huggingface/tokenizers";
import { DataError, integer, show } from "../errors.ts";
import { TextStream } from "./text-stream.ts";
import type { DecodeOptions, EncodeOptions, Tokenizer, TokenizerJSON } from "./tokenizer.ts";

/** A parsed JSON object. */
export type JSONObject = { readonly [field: string]: unknown };

/** The fields of tokenizer.json that have to be there; the library wants them all. */
const SECTIONS = ["model", "decoder", "post_processor", "pre_tokenizer", "normalizer"];

/**
 * A tokenizer from a published `tokenizer.json`: BPE, WordPiece or Unigram, read by `@huggingface/tokenizers`.
 * The sections `truncation` and `padding` of the file are not applied: batching cuts texts, not the tokenizer.
 * A character that a BPE vocabulary has neither a token nor an unknown token for is left out, as the original library does.
 */
export class HuggingFaceTokenizer implements Tokenizer {
  readonly concatenative = false;
  readonly vocabSize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly #inner: Inner;
  readonly #tokenizer: JSONObject;
  readonly #config: JSONObject;

  /**
   * @param tokenizer what tokenizer.json holds, parsed.
   * @param config what tokenizer_config.json holds, parsed: names the begin and end tokens (`bos_token`, `eos_token`).
   */
  constructor(tokenizer: JSONObject, config: JSONObject = {}) {
    this.#tokenizer = tokenizer;
    this.#config = config;
    this.#inner = construct(tokenizer, config);
    this.vocabSize = Math.max(this.#inner.model?.vocab.length ?? 0, 1);
    const bos = this.#named("bos_token");
    const eos = this.#named("eos_token");
    if (bos !== undefined) this.bos = bos;
    if (eos !== undefined) this.eos = eos;
  }

  static fromJSON(json: TokenizerJSON): HuggingFaceTokenizer {
    if (!isObject(json.tokenizer) || !isObject(json.config)) {
      throw new DataError(
        "HuggingFaceTokenizer.fromJSON: expected the objects tokenizer and config (tokenizer.json, tokenizer_config.json).",
      );
    }
    return new HuggingFaceTokenizer(json.tokenizer, json.config);
  }

  /** The id of a token by its exact name, or undefined. */
  tokenToId(token: string): number | undefined {
    return this.#inner.token_to_id(token);
  }

  encode(text: string, { addSpecial = true }: EncodeOptions = {}): Int32Array {
    const { ids, tokens } = this.#inner.encode(text, { add_special_tokens: addSpecial });
    // The library gives undefined for a token it does not know when the model names no unknown token.
    const unknown = (ids as (number | undefined)[]).indexOf(undefined);
    if (unknown >= 0) {
      throw new DataError(
        `HuggingFaceTokenizer.encode: ${show(tokens[unknown])} (token ${unknown} of ${ids.length}) is not in the vocabulary ` +
          "and the tokenizer has no unknown token. Leave it out of the text, or name unk_token in tokenizer_config.json.",
      );
    }
    return Int32Array.from(ids);
  }

  /** As the interface says. Ids without a token, as the padded rows of an embedding have them, give no text. */
  decode(ids: ArrayLike<number>, { skipSpecial = true }: DecodeOptions = {}): string {
    const known: number[] = [];
    for (let i = 0; i < ids.length; i++) {
      const id = integer("HuggingFaceTokenizer.decode", `id at position ${i}`, ids[i], 0);
      if (this.#inner.id_to_token(id) !== undefined) known.push(id);
    }
    if (known.length === 0) return "";
    // Without clean-up (which takes spaces before punctuation away), as only then a text never shrinks when tokens follow.
    return this.#inner.decode(known, { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false });
  }

  streamDecoder(options?: DecodeOptions): TextStream {
    return new TextStream(this, options);
  }

  toJSON(): TokenizerJSON {
    return { kind: "huggingface", tokenizer: this.#tokenizer, config: this.#config };
  }

  /** The id of a token that the configuration names, as text or as an object with `content`. */
  #named(field: string): number | undefined {
    const entry = this.#config[field];
    const name = isObject(entry) ? entry.content : entry;
    if (name === undefined || name === null) return undefined;
    const id = typeof name === "string" ? this.#inner.token_to_id(name) : undefined;
    if (id !== undefined) return id;
    throw new DataError(`HuggingFaceTokenizer: ${field} is ${show(name)} in tokenizer_config.json, which is no token of tokenizer.json.`);
  }
}

function construct(tokenizer: JSONObject, config: JSONObject): Inner {
  if (!isObject(tokenizer)) throw new DataError(`HuggingFaceTokenizer: tokenizer.json must hold an object, got ${show(tokenizer)}.`);
  if (!isObject(config)) throw new DataError(`HuggingFaceTokenizer: tokenizer_config.json must hold an object, got ${show(config)}.`);
  if (!isObject(tokenizer.model)) throw new DataError("HuggingFaceTokenizer: tokenizer.json has no section model; is it another file?");
  const absent = Object.fromEntries(SECTIONS.map((section) => [section, null]));
  try {
    return new Inner({ added_tokens: [], ...absent, ...tokenizer }, config);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`HuggingFaceTokenizer: tokenizer.json cannot be used: ${reason}`, { cause });
  }
}

function isObject(value: unknown): value is JSONObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
