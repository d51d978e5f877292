import { ByteTokenizer, CharacterTokenizer, DataError, encodeText, readText, splitTokens, type TokenArray, type Tokenizer } from "@x/data";

export interface TextData {
  readonly tokenizer: Tokenizer;
  readonly train: TokenArray;
  readonly validation: TokenArray;
}

/** A text file as tokens, the last tenth kept for validation. `choose` makes the tokenizer of the text. */
export async function loadText(path: string, choose: (text: string) => Tokenizer): Promise<TextData> {
  const text = await readText(path);
  try {
    const tokenizer = choose(text);
    return { tokenizer, ...splitTokens(encodeText(tokenizer, text)) };
  } catch (cause) {
    throw new DataError(`--data ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** A tokenizer for a new model. */
export const newTokenizer =
  (kind: "characters" | "bytes") =>
  (text: string): Tokenizer =>
    kind === "bytes" ? new ByteTokenizer() : CharacterTokenizer.fromText(text);

/** Refuses a text that has no whole window, before anything is made or written. */
export function expectWindow(path: string, { train }: TextData, context: number): void {
  if (train.length > context) return;
  throw new DataError(
    `--data ${path}: its training part has ${train.length} tokens, but a window takes ${context + 1}. Give a longer text, or a shorter --context.`,
  );
}
