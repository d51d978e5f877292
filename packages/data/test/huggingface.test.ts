import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ByteTokenizer, HuggingFaceTokenizer, loadTokenizer, tokenizerFromJSON } from "../src/index.ts";
import { byteLevelBpe } from "./byte-level-bpe.ts";

const config = { eos_token: { content: "<|endoftext|>" }, bos_token: "<|endoftext|>" };

const wordLevel = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: "Whitespace" },
  post_processor: null,
  decoder: null,
  model: { type: "WordLevel", vocab: { hello: 0, world: 1 }, unk_token: "[UNK]" },
};

const wordPiece = {
  added_tokens: ["[UNK]", "[CLS]", "[SEP]"].map((content, id) => ({ id, content, special: true, normalized: false })),
  normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  pre_tokenizer: { type: "BertPreTokenizer" },
  post_processor: {
    type: "TemplateProcessing",
    single: [
      { SpecialToken: { id: "[CLS]", type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: "[SEP]", type_id: 0 } },
    ],
    pair: [],
    special_tokens: {},
  },
  decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, play: 3, "##ing": 4, well: 5 },
  },
};

describe("HuggingFaceTokenizer", () => {
  const bpe = new HuggingFaceTokenizer(byteLevelBpe(), config);

  test("byte-level BPE: merges, vocabulary, begin and end tokens", () => {
    expect([bpe.vocabSize, bpe.bos, bpe.eos]).toEqual([262, 261, 261]);
    expect([...bpe.encode("hello world<|endoftext|>")].map((id) => bpe.decode([id], { skipSpecial: false }))).toEqual([
      "hell",
      "o",
      " w",
      "o",
      "r",
      "l",
      "d",
      "<|endoftext|>",
    ]);
    expect(bpe.decode(bpe.encode("hello world<|endoftext|>"))).toBe("hello world");
  });

  test("byte-level BPE gives every text back, spaces before punctuation included", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void expect(bpe.decode(bpe.encode(text))).toBe(text)));
    expect(bpe.decode(bpe.encode("well , I do n't ."))).toBe("well , I do n't .");
  });

  test("JSON round trip", () => {
    const again = tokenizerFromJSON(JSON.parse(JSON.stringify(bpe)));
    expect([again.vocabSize, again.eos]).toEqual([262, 261]);
    expect(again.encode("hello 😀")).toEqual(bpe.encode("hello 😀"));
  });

  test("the template is added unless told not to; word pieces stream with their spaces", () => {
    const bert = new HuggingFaceTokenizer(wordPiece, {});
    expect([...bert.encode("playing WELL")]).toEqual([1, 3, 4, 5, 2]);
    expect([...bert.encode("playing xyz", { addSpecial: false })]).toEqual([3, 4, 0]);
    const stream = bert.streamDecoder();
    expect([1, 3, 4, 5, 5, 2].map((id) => stream.push(id))).toEqual(["", "play", "ing", " well", " well", ""]);
    expect(stream.flush()).toBe("");
  });

  test("a token that is not in the vocabulary is an error, not an undefined id", () => {
    const words = new HuggingFaceTokenizer(wordLevel, {});
    expect([...words.encode("hello world")]).toEqual([0, 1]);
    expect(() => words.encode("hello there")).toThrow('"there" (token 1 of 2) is not in the vocabulary');
  });

  test("decode: nothing, ids beyond the vocabulary, ids that are none", () => {
    expect(bpe.decode([])).toBe("");
    expect(bpe.decode([5000, bpe.encode("h")[0]!])).toBe("h");
    expect(() => bpe.decode([1.5])).toThrow("id at position 0 must be an integer of at least 0, got 1.5");
  });

  test("bad files say what is wrong", () => {
    expect(() => new HuggingFaceTokenizer([] as never)).toThrow("must hold an object");
    expect(() => new HuggingFaceTokenizer({})).toThrow("no section model");
    expect(() => new HuggingFaceTokenizer({ model: { type: "Unheard" } })).toThrow("tokenizer.json cannot be used");
    expect(() => new HuggingFaceTokenizer(byteLevelBpe(), { eos_token: "</s>" })).toThrow('eos_token is "</s>" in tokenizer_config.json');
  });
});

describe("loadTokenizer", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "x-data-"));
  });
  afterAll(() => rm(directory, { recursive: true }));
  const put = (name: string, value: unknown) => writeFile(join(directory, name), typeof value === "string" ? value : JSON.stringify(value));

  test("a published directory, and one of ours", async () => {
    await expect(loadTokenizer(directory)).rejects.toThrow("there is no tokenizer.json. There is: nothing.");
    await put("tokenizer.json", byteLevelBpe());
    expect((await loadTokenizer(directory)).eos).toBeUndefined();
    await put("special_tokens_map.json", { eos_token: "<|endoftext|>" });
    expect((await loadTokenizer(directory)).eos).toBe(261);
    await put("tokenizer_config.json", { bos_token: "<|endoftext|>", eos_token: null });
    expect(await loadTokenizer(directory)).toMatchObject({ bos: 261 });
    await put("tokenizer.json", new ByteTokenizer());
    expect(await loadTokenizer(directory)).toBeInstanceOf(ByteTokenizer);
  });

  test("errors name the file", async () => {
    await put("tokenizer.json", "{");
    await expect(loadTokenizer(directory)).rejects.toThrow("tokenizer.json: not JSON");
    await put("tokenizer.json", "[]");
    await expect(loadTokenizer(directory)).rejects.toThrow("tokenizer.json: must hold a JSON object");
    await expect(loadTokenizer(join(directory, "absent"))).rejects.toThrow(/absent: cannot be read/);
  });
});
