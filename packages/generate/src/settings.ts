import { logitsChain } from "./chain.ts";
import type { Decoder } from "./decoder.ts";
import { refuse } from "./errors.ts";
import type { CommonOptions, GenerateOptions, Prompt } from "./options.ts";
import type { LogitsProcessor } from "./processors.ts";

/** Checked and completed options of a run. */
export interface Settings {
  readonly prompts: readonly Int32Array[];
  /** The most tokens that each prompt's row may generate. */
  readonly limits: readonly number[];
  readonly eos: readonly number[];
  readonly pad: number;
  readonly chain: readonly LogitsProcessor[];
}

/** Checks prompts and options before the model is called. Throws `GenerateError`. */
export function settle(
  who: string,
  decoder: Decoder,
  prompts: readonly Prompt[],
  options: CommonOptions,
  known: readonly string[],
): Settings {
  expectKnown(who, options, known);
  const { vocabSize } = decoder;
  for (const name of ["maxNewTokens", "maxLength", "noRepeatNgram"] as const) expectInteger(who, name, options[name], 1);
  expectInteger(who, "minNewTokens", options.minNewTokens, 0);
  const eos = options.eos === undefined ? [] : typeof options.eos === "number" ? [options.eos] : [...new Set(options.eos)];
  expectTokens(who, "eos", eos, vocabSize);
  expectTokens(who, "forcedTokens", options.forcedTokens ?? [], vocabSize);
  expectTokens(who, "forcedEos", options.forcedEos === undefined ? [] : [options.forcedEos], vocabSize);
  const pad = options.pad ?? eos[0] ?? 0;
  expectTokens(who, "pad", [pad], vocabSize);
  if (prompts.length === 0) refuse(who, "prompts", "a list of at least one prompt", prompts);
  const rows = prompts.map((prompt, index) => {
    if (prompt.length === 0)
      refuse(who, `prompts[${index}]`, "at least one token", prompt, "A model without a prompt starts from its start token.");
    expectTokens(who, `prompts[${index}]`, prompt, vocabSize);
    return Int32Array.from(prompt);
  });
  const limits = rows.map((prompt, index) => limitOf(who, decoder, `prompts[${index}]`, prompt.length, options));
  return { prompts: rows, limits, eos, pad, chain: logitsChain(options, eos) };
}

function limitOf(who: string, decoder: Decoder, name: string, length: number, options: CommonOptions): number {
  const { maxNewTokens = Infinity, maxLength = Infinity } = options;
  const capacity = decoder.maxLength ?? Infinity;
  if (length >= capacity)
    refuse(
      who,
      name,
      `shorter than the model's maxLength of ${capacity}, to leave room for one token`,
      length,
      "Keep the last tokens of the prompt.",
    );
  if (length >= maxLength)
    refuse(who, name, `shorter than maxLength ${maxLength}, which counts the prompt`, length, "Give maxNewTokens instead.");
  const limit = Math.min(maxNewTokens, maxLength - length, capacity - length);
  if (limit === Infinity) refuse(who, "maxNewTokens", "given, or maxLength, as the decoder has no limit of its own", undefined);
  return limit;
}

const commonNames = [
  "maxNewTokens",
  "maxLength",
  "minNewTokens",
  "eos",
  "pad",
  "repetitionPenalty",
  "noRepeatNgram",
  "forcedTokens",
  "forcedEos",
  "processors",
  "signal",
] as const satisfies (keyof CommonOptions)[];
const samplingNames = ["temperature", "topK", "topP", "minP", "seed", "draw", "decode", "stop"];
const beamNames = ["beams", "returns", "lengthPenalty", "earlyStopping"];

/** The names of the options of `generate`. */
export const generateOptionNames: readonly string[] = [...commonNames, ...samplingNames];
/** The names of the options of `beamSearch`. */
export const beamOptionNames: readonly string[] = [...commonNames, ...beamNames];

function expectKnown(who: string, options: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || known.includes(name)) continue;
    const hint = samplingNames.includes(name)
      ? "Beam search does not sample and keeps no text: use generate for that."
      : beamNames.includes(name)
        ? "Sampling has no beams: use beamSearch for that."
        : "";
    refuse(who, `options.${name}`, "absent", value, hint || `The options are ${known.join(", ")}.`);
  }
}

/** Checks the options that only sampling has. */
export function expectSampling(who: string, options: GenerateOptions): void {
  const { temperature = 0, topK, topP, minP } = options;
  if (!(temperature >= 0 && temperature < Infinity)) refuse(who, "temperature", "a number of at least 0", temperature, "0 is greedy.");
  expectInteger(who, "topK", topK, 1);
  for (const [name, value] of Object.entries({ topP, minP }))
    if (value !== undefined && !(value >= 0 && value <= 1)) refuse(who, name, "between 0 and 1", value);
  const filter = Object.entries({ topK, topP, minP }).find(([, value]) => value !== undefined);
  if (filter && options.temperature === undefined)
    refuse(
      who,
      "temperature",
      `given along with ${filter[0]}`,
      undefined,
      "Without it decoding is greedy and draws nothing; 1 samples as the model says.",
    );
  expectInteger(who, "seed", options.seed, 0);
  expectInteger(who, "draw", options.draw, 0);
  const stops = stopList(options);
  if (stops.includes("")) refuse(who, "stop", "strings of at least one character", stops);
  if (stops.length > 0 && !options.decode)
    refuse(who, "decode", "given along with stop", undefined, "Stop strings are looked for in decoded text.");
}

export function stopList({ stop = [] }: GenerateOptions): readonly string[] {
  return typeof stop === "string" ? [stop] : stop;
}

export function expectInteger(who: string, name: string, value: number | undefined, least: number): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) refuse(who, name, `an integer of at least ${least}`, value);
}

function expectTokens(who: string, name: string, tokens: ArrayLike<number>, vocabSize: number): void {
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (!(Number.isInteger(token) && token >= 0 && token < vocabSize))
      refuse(who, `${name} (token ${i})`, `a token id from 0 to ${vocabSize - 1}`, token, "Does the tokenizer belong to the model?");
  }
}
