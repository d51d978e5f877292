import { fileURLToPath } from "node:url";
import { CharacterTokenizer, encodeText, gatherRepositoryText, readText, splitTokens, type TokenArray } from "@x/data";

export interface Text {
  readonly vocabSize: number;
  readonly train: TokenArray;
  readonly validation: TokenArray;
}

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** A file, or this repository's own text, by characters; the last tenth is for validation. */
export async function openText(path: string | undefined): Promise<Text> {
  const text = path === undefined ? (await gatherRepositoryText(root)).text : await readText(path);
  const tokenizer = CharacterTokenizer.fromText(text);
  return { vocabSize: tokenizer.vocabSize, ...splitTokens(encodeText(tokenizer, text)) };
}
