import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteTokenizer, CharacterTokenizer, HuggingFaceTokenizer, type Tokenizer } from "../src/index.ts";
import { byteLevelBpe } from "./byte-level-bpe.ts";

/** Text with what breaks streams: any code point, U+FFFD that is really there, families, flags, combining marks. */
const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 3 }),
      fc.constantFrom("\uFFFD", "👩‍👩‍👧‍👦", "🇫🇷", "e\u0301", "hello", " world", "\uFEFF", "€"),
    ),
  )
  .map((pieces) => pieces.join(""));

const bpe = new HuggingFaceTokenizer(byteLevelBpe(), {});
const kinds: [string, (text: string) => Tokenizer][] = [
  ["bytes", () => new ByteTokenizer({ specials: ["<eos>"] })],
  ["characters", (text) => CharacterTokenizer.fromText(`${text}a`)],
  ["byte-level BPE", () => bpe],
];

describe.each(kinds)("streaming %s", (_, make) => {
  test("gives the whole text, in prefixes of whole characters, however the ids arrive", () => {
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 5 })), (text, sizes) => {
        const tokenizer = make(text);
        const ids = tokenizer.encode(text);
        const stream = tokenizer.streamDecoder();
        let given = "";
        for (let at = 0; at < ids.length; ) {
          const size = sizes.next().value ?? 1;
          given += stream.push(ids.subarray(at, at + size));
          at += size;
          expect(text.startsWith(given)).toBe(true);
          expect(given).not.toMatch(/\p{Surrogate}/u);
        }
        expect(given + stream.flush()).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test("a complete character other than U+FFFD comes at once", () => {
    const tokenizer = make("né😀x");
    const stream = tokenizer.streamDecoder();
    const pieces = [..."né😀x"].map((character) =>
      [...tokenizer.encode(character)]
        .map((id) => stream.push(id))
        .join("|")
        .replaceAll("|", ""),
    );
    expect(pieces).toEqual(["n", "é", "😀", "x"]);
  });
});

describe("byte sequences that are no text", () => {
  test("any bytes: the stream is what decode gives of them all", () => {
    const tokenizer = new ByteTokenizer({ specials: ["<eos>"] });
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0x61, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xff, 0xc3, 256)),
        fc.boolean(),
        (ids, skipSpecial) => {
          const stream = tokenizer.streamDecoder({ skipSpecial });
          const pieces = ids.map((id) => stream.push(id));
          expect(pieces.join("") + stream.flush()).toBe(tokenizer.decode(ids, { skipSpecial }));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("half a character is held, and shown as U+FFFD when the text ends there", () => {
    const stream = new ByteTokenizer().streamDecoder();
    expect([0xf0, 0x9f, 0x98].map((id) => stream.push(id)).join("")).toBe("");
    expect(stream.flush()).toBe("\uFFFD");
    expect(stream.push(0x61)).toBe("a");
  });
});
