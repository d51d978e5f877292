import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteTokenizer, CharacterTokenizer, DataError, type Tokenizer, tokenizerFromJSON } from "../src/index.ts";

const unicode = fc.string({ unit: "binary" });

describe("CharacterTokenizer", () => {
  test("ids follow the order of the code points", () => {
    const tokenizer = CharacterTokenizer.fromText("hello\n");
    expect(tokenizer.vocabSize).toBe(5);
    expect([...tokenizer.encode("\nehlo")]).toEqual([0, 1, 2, 3, 4]);
  });

  test("every text comes back, and through JSON too", () => {
    fc.assert(
      fc.property(unicode, (text) => {
        fc.pre(text.length > 0);
        const tokenizer = CharacterTokenizer.fromText(text);
        const again = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        expect(ids.length).toBe([...text].length);
        expect(again.encode(text)).toEqual(ids);
        expect(again.vocabSize).toBe(new Set(text).size);
      }),
    );
  });

  test("an unknown character is named, with its place", () => {
    const tokenizer = CharacterTokenizer.fromText("abc\n");
    expect(() => tokenizer.encode("ab\nc😀")).toThrow('"😀" (U+1F600) at position 4 (line 2, column 2) is not among the 4 characters');
  });

  test("bad input", () => {
    expect(() => CharacterTokenizer.fromText("")).toThrow("the alphabet is empty");
    expect(() => CharacterTokenizer.fromText("ab").decode([0, 2])).toThrow("id 2 at position 1 is not in the vocabulary of 2");
    expect(() => tokenizerFromJSON({ kind: "characters", codePoints: [-1] })).toThrow(DataError);
  });
});

describe("ByteTokenizer", () => {
  test("every text comes back", () => {
    const tokenizer = new ByteTokenizer();
    fc.assert(fc.property(unicode, (text) => void expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)));
    expect([...tokenizer.encode("\uFEFFé")]).toEqual([0xef, 0xbb, 0xbf, 0xc3, 0xa9]);
  });

  test("special tokens have ids from 256 on, are left out of the text unless asked for, and survive JSON", () => {
    const tokenizer = new ByteTokenizer({ specials: ["<bos>", "<eos>"], bos: "<bos>", eos: "<eos>" });
    const again = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
    for (const one of [tokenizer, again]) {
      expect([one.vocabSize, one.bos, one.eos]).toEqual([258, 256, 257]);
      expect(one.decode([256, 104, 105, 257])).toBe("hi");
      expect(one.decode([256, 104, 105, 257], { skipSpecial: false })).toBe("<bos>hi<eos>");
    }
    expect([...tokenizer.encode("<eos>")]).toEqual([60, 101, 111, 115, 62]);
  });

  test("bad input", () => {
    const tokenizer = new ByteTokenizer({ specials: ["<eos>"] });
    expect(() => tokenizer.decode([65, 257])).toThrow("id 257 at position 1 is not below 257");
    expect(() => tokenizer.decode([-1])).toThrow("id at position 0 must be an integer of at least 0, got -1");
    expect(() => tokenizer.special("<bos>")).toThrow("there are: <eos>");
    expect(() => new ByteTokenizer({ specials: ["a", "a"] })).toThrow("a name twice");
    expect(() => new ByteTokenizer({ eos: "<eos>" })).toThrow("there are: none");
  });
});

test("a concatenative tokenizer encodes a text in pieces", () => {
  const tokenizers: Tokenizer[] = [new ByteTokenizer(), CharacterTokenizer.fromText("ab😀")];
  for (const tokenizer of tokenizers) {
    expect(tokenizer.concatenative).toBe(true);
    expect([...tokenizer.encode("ab"), ...tokenizer.encode("😀a")]).toEqual([...tokenizer.encode("ab😀a")]);
  }
});

test("tokenizerFromJSON refuses what it does not know", () => {
  expect(() => tokenizerFromJSON({ kind: "toString" })).toThrow('kind must be one of bytes, characters, huggingface, got "toString"');
  expect(() => tokenizerFromJSON(undefined as never)).toThrow(DataError);
});
