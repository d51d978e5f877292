import type { Decoder } from "./decoder.ts";
import { argmax, expectChoosable } from "./distribution.ts";
import { GenerateError } from "./errors.ts";
import type { FinishReason, GenerateOptions, Prompt } from "./options.ts";
import { Row } from "./row.ts";
import { Sampler } from "./sampler.ts";
import { expectSampling, generateOptionNames, type Settings, settle } from "./settings.ts";

/** What one step of a batch brought. */
export interface Step {
  /** One token per row: padding for rows that had finished before. Empty in the step that reports an abort. */
  readonly tokens: Int32Array;
  /** The text that became certain, per row; empty strings without `decode`. The pieces of a row join to its text. */
  readonly text: readonly string[];
  /** Why each row has ended; undefined while it goes on. */
  readonly finish: readonly (FinishReason | undefined)[];
}

/** One finished row. */
export interface GeneratedRow {
  /** The generated tokens, the end token included, without prompt and padding. */
  readonly tokens: Int32Array;
  /** Their text, up to the stop string or end token; empty without `decode`. */
  readonly text: string;
  readonly finish: FinishReason;
  /** The stop string that ended the row, if one did. */
  readonly stop?: string;
}

/** The outcome of a run. */
export interface Generated {
  readonly rows: readonly GeneratedRow[];
  /** Draws made: pass it as `draw`, with the same seed, to go on from here. */
  readonly draw: number;
}

/**
 * Continues each prompt, greedily or by sampling, until an end token, a limit, a stop string or an abort ends its row.
 * Throws `GenerateError` for bad options or prompts, before the model is called, and for logits that nothing can be chosen from.
 */
export async function generate(decoder: Decoder, prompts: readonly Prompt[], options: GenerateOptions): Promise<Generated> {
  const steps = stream(decoder, prompts, options);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
}

/** `generate`, step by step: yields each step as it is made, and returns what `generate` returns. */
export async function* stream(
  decoder: Decoder,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<Step, Generated, void> {
  expectSampling("generate", options);
  const settings = settle("generate", decoder, prompts, options, generateOptionNames);
  const rows = settings.prompts.map((_, index) => new Row(settings, index, options));
  const texts: string[] = rows.map(() => "");
  const sampler = new Sampler(options);
  const report = (tokens: Int32Array, text: string[]): Step => {
    text.forEach((piece, row) => {
      texts[row] += piece;
    });
    return { tokens, text, finish: rows.map((row) => row.finish) };
  };

  let tokens: Int32Array | undefined;
  while (rows.some((row) => !row.finish)) {
    if (options.signal?.aborted) {
      yield report(
        new Int32Array(0),
        rows.map((row) => (row.finish ? "" : row.end("abort"))),
      );
      break;
    }
    const logits = await nextLogits(decoder, settings, tokens);
    const chosen = chooseTokens(logits, decoder.vocabSize, rows, settings, options, sampler);
    yield report(
      chosen,
      rows.map((row, index) => (row.finish ? "" : row.accept(chosen[index]!))),
    );
    tokens = chosen;
  }
  return { rows: rows.map((row, index) => resultOf(row, texts[index]!)), draw: sampler.draw };
}

/** The text of one prompt's continuation in pieces, each certain when it comes; returns the finished row. Needs `decode`. */
export async function* streamText(
  decoder: Decoder,
  prompt: Prompt,
  options: GenerateOptions & { decode: (ids: number[]) => string },
): AsyncGenerator<string, GeneratedRow, void> {
  if (!options.decode) throw new GenerateError("streamText: decode must be given, as it turns tokens into text. Without text, use stream.");
  const steps = stream(decoder, [prompt], options);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value.rows[0]!;
    if (value.text[0]) yield value.text[0];
  }
}

function nextLogits(decoder: Decoder, { prompts, limits }: Settings, tokens: Int32Array | undefined): Promise<Float32Array> {
  return tokens ? decoder.step(tokens) : decoder.prefill(prompts, { newTokens: Math.max(...limits), rows: prompts.length });
}

function chooseTokens(
  logits: Float32Array,
  vocabSize: number,
  rows: readonly Row[],
  { chain, pad }: Settings,
  { temperature = 0 }: GenerateOptions,
  sampler: Sampler,
): Int32Array {
  expectLogits("generate", logits, rows.length, vocabSize);
  const tokens = new Int32Array(rows.length).fill(pad);
  rows.forEach((row, index) => {
    if (row.finish) return;
    const scores = logits.subarray(index * vocabSize, (index + 1) * vocabSize);
    const place = `generate: row ${index}, token ${row.history.length - row.promptLength}`;
    expectChoosable(scores, `${place}: the model's logits`);
    for (const process of chain) process(scores, row);
    if (chain.length > 0) expectChoosable(scores, `${place}: the processed logits`);
    tokens[index] = temperature === 0 ? argmax(scores) : sampler.sample(scores, index);
  });
  if (temperature !== 0) sampler.advance();
  return tokens;
}

/** Checks that a decoder returned [rows, vocabSize] logits. */
export function expectLogits(who: string, logits: Float32Array, rows: number, vocabSize: number): void {
  if (logits.length !== rows * vocabSize)
    throw new GenerateError(
      `${who}: the decoder returned ${logits.length} logits, expected ${rows} rows x ${vocabSize} tokens = ${rows * vocabSize}. Return the last position only.`,
    );
}

function resultOf(row: Row, text: string): GeneratedRow {
  const result = { tokens: row.generated, text, finish: row.finish! };
  return row.stop === undefined ? result : { ...result, stop: row.stop };
}
