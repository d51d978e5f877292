import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ByteTokenizer,
  CharacterTokenizer,
  encodeFile,
  encodeText,
  gatherRepositoryText,
  HuggingFaceTokenizer,
  readText,
  textChunks,
} from "../src/index.ts";
import * as browser from "../src/platform.browser.ts";
import { byteLevelBpe } from "./byte-level-bpe.ts";
import { collect } from "./collect.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "x-data-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function put(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe("textChunks", () => {
  test("the pieces are the text, whatever the chunk size; none ends within a character", async () => {
    const text = fc.array(fc.constantFrom("a", "é", "€", "😀", "\n", "\uFFFD")).map((characters) => characters.join(""));
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), async (text, chunkBytes) => {
        fc.pre(text.length > 0);
        const pieces = await collect(textChunks(await put("any.txt", text), { chunkBytes }));
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) expect(piece).not.toMatch(/^$|\p{Surrogate}/u);
      }),
      { numRuns: 60 },
    );
  });

  test("pieces end at line ends", async () => {
    const path = await put("lines.txt", "one\ntwo\nthree\nfour");
    expect(await collect(textChunks(path, { chunkBytes: 6 }))).toEqual(["one\n", "two\n", "three\n", "four"]);
  });

  test("a byte order mark is left out", async () => {
    expect(await readText(await put("bom.txt", "\uFEFFhello"))).toBe("hello");
  });

  test("files that are no text", async () => {
    await expect(readText(join(directory, "absent.txt"))).rejects.toThrow(/absent\.txt: cannot be read: ENOENT/);
    await expect(readText(directory)).rejects.toThrow(/cannot be read: EISDIR/);
    await expect(readText(await put("empty.txt", ""))).rejects.toThrow("empty.txt: the file is empty");
    await expect(readText(await put("binary", Uint8Array.of(65, 66, 0, 67)))).rejects.toThrow(
      "binary: byte 2 is zero, so this is no text file",
    );
    await expect(readText(await put("latin1.txt", Uint8Array.of(65, 0xe9, 66)))).rejects.toThrow(
      "latin1.txt: not UTF-8 between bytes 0 and 3",
    );
    await expect(readText(await put("cut.txt", Uint8Array.of(65, 0xe2, 0x82)))).rejects.toThrow("cut.txt: not UTF-8 at its end");
  });
});

describe("encodeFile", () => {
  const text = "héllo wörld\n".repeat(20_000);

  test("in pieces or as a whole, the ids are those of the text", async () => {
    const path = await put("long.txt", text);
    for (const tokenizer of [new ByteTokenizer(), CharacterTokenizer.fromText(text), new HuggingFaceTokenizer(byteLevelBpe())]) {
      const ids = await encodeFile(tokenizer, path, { chunkBytes: 1000 });
      expect(ids).toBeInstanceOf(Uint16Array);
      const expected = encodeText(tokenizer, text);
      expect(ids.length).toBe(expected.length);
      expect(ids.findIndex((id, i) => id !== expected[i])).toBe(-1);
    }
  });

  test("a vocabulary beyond 16 bits takes 32", async () => {
    const wide = Object.assign(Object.create(new ByteTokenizer()), {
      vocabSize: 0x10001,
      encode: () => Int32Array.of(0x10000),
      concatenative: true,
    });
    expect(encodeText(wide, "a")).toEqual(Int32Array.of(0x10000));
    expect(await encodeFile(wide, await put("a.txt", "a"))).toEqual(Int32Array.of(0x10000));
  });

  test("an unknown character is named with its file and line", async () => {
    const path = await put("odd.txt", "aaa\nbbb\naéa\n");
    await expect(encodeFile(CharacterTokenizer.fromText("ab\n"), path, { chunkBytes: 4 })).rejects.toThrow(
      /odd\.txt, in the part that begins at line 3: .*"é" \(U\+00E9\) at position 1 \(line 1, column 2\)/,
    );
  });
});

describe("gatherRepositoryText", () => {
  test("sources and documents in the order of their names; the rest is left out", async () => {
    const files = ["b.ts", "README.md", "a/z.ts", "a/b/c.md", "a.ts", "C.ts"];
    for (const name of files) await put(`repo/${name}`, `this is ${name}`);
    const others = [
      "node_modules/x/i.ts",
      "a/dist/o.ts",
      ".git/h.md",
      ".hidden.ts",
      "op.gen.ts",
      "pnpm-lock.yaml",
      "image.png",
      "package-lock.json",
    ];
    for (const name of others) await put(`repo/${name}`, "not this");
    await put("repo/binary.ts", Uint8Array.of(0, 1, 2));
    await put("repo/empty.ts", "");
    await symlink(join(directory, "repo/b.ts"), join(directory, "repo/link.ts"));
    const repo = join(directory, "repo");
    const gathered = await gatherRepositoryText(repo);
    expect(gathered.files).toEqual(["C.ts", "README.md", "a/b/c.md", "a/z.ts", "a.ts", "b.ts"]);
    expect(gathered.text.startsWith("==> C.ts\nthis is C.ts\n\n==> README.md\n")).toBe(true);
    expect(await gatherRepositoryText(repo)).toEqual(gathered);

    const first = await gatherRepositoryText(repo, { extensions: [".ts"], maxBytes: 60 });
    expect(first.files).toEqual(["C.ts", "a/z.ts"]);
    expect(Buffer.byteLength(first.text)).toBeLessThanOrEqual(60);
    await expect(gatherRepositoryText(repo, { extensions: [".rs"] })).rejects.toThrow("no text ending in .rs");
    await expect(gatherRepositoryText(join(directory, "absent"))).rejects.toThrow("cannot be read: ENOENT");
  });
});

test("in a browser, files are an error that says what to do", async () => {
  await expect(browser.listDirectory("here")).rejects.toThrow("here: files can be read in Node only");
  await expect(browser.fileChunks("there.txt", 1).next()).rejects.toThrow("there.txt: files can be read in Node only");
});
