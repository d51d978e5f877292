import { ByteTokenizer, CharacterTokenizer, encodeText, readText, splitTokens, type TokenArray, type Tokenizer } from "@x/data";
import { checkTokens } from "@x/ops";

export interface TextData {
  readonly tokenizer: Tokenizer;
  readonly train: TokenArray;
  readonly validation: TokenArray;
}

/** A text as tokens, the last tenth kept for validation. A tokenizer is made from the text where none is given. */
export function prepareText(
  text: string,
  { kind, tokenizer }: { kind: "characters" | "bytes"; tokenizer?: Tokenizer | undefined },
): TextData {
  const chosen = tokenizer ?? (kind === "bytes" ? new ByteTokenizer() : CharacterTokenizer.fromText(text));
  const tokens = encodeText(chosen, text);
  checkTokens(tokens, chosen.vocabSize, "the text");
  return { tokenizer: chosen, ...splitTokens(tokens) };
}

export const loadText = async (path: string, options: Parameters<typeof prepareText>[1]): Promise<TextData> =>
  prepareText(await readText(path), options);
