import { type BeamOptions, beamSearch, type CommonOptions, causalDecoder, type Decoder, generate } from "@x/generate";
import type { LanguageModel } from "@x/models";
import { compareSequences, type ParityDirectory, type ParityGeneration, type ParityTensor } from "@x/testing";
import type { GenerationResult } from "./report.ts";
import { UnsupportedError } from "./unsupported.ts";

/** What an entry of `generate` may set; everything else of the configurations has no part in greedy and beam search. */
const known = ["max_new_tokens", "num_beams", "length_penalty", "early_stopping", "num_return_sequences", "do_sample"];

/** Generates as each entry says and compares tokens and scores. */
export async function runGenerations(parity: ParityDirectory, model: LanguageModel): Promise<GenerationResult[]> {
  const results: GenerationResult[] = [];
  const decoder = causalDecoder(model);
  try {
    for (const generation of parity.generations) results.push(await runGeneration(parity, generation, decoder));
  } finally {
    decoder.close();
  }
  return results;
}

interface Sequences {
  readonly sequences: readonly (readonly number[])[];
  readonly scores: readonly number[];
}

async function runGeneration(parity: ParityDirectory, generation: ParityGeneration, decoder: Decoder): Promise<GenerationResult> {
  const settings = new GenerationSettings(parity, generation);
  const made = settings.beams > 1 ? await searchBeams(settings, generation, decoder) : await greedy(settings, generation, decoder);
  const { pass, report } = compareSequences(made.sequences, generation.sequences);
  const { scores, scoresAtol } = generation;
  const how = settings.beams > 1 ? `${settings.beams} beams` : "greedy";
  if (!pass || !scores) return { pass, detail: `${how}, ${report}` };
  const errors = scores.map((score, i) => Math.abs(score - (made.scores[i] ?? Number.NaN)));
  const close = errors.every((error) => error <= scoresAtol);
  return { pass: close, detail: `${how}, ${report}, scores differ by ${Math.max(...errors).toExponential(2)}` };
}

async function greedy(settings: GenerationSettings, generation: ParityGeneration, decoder: Decoder): Promise<Sequences> {
  const prompts = promptsOf(generation);
  const { rows } = await generate(
    decoder,
    prompts.map(({ tokens }) => tokens),
    settings.common(prompts[0]!.row.length),
  );
  return {
    sequences: filled(
      rows.map(({ tokens }, i) => ({ prompt: prompts[i]!.row, tokens })),
      settings.pad,
    ),
    scores: [],
  };
}

async function searchBeams(settings: GenerationSettings, generation: ParityGeneration, decoder: Decoder): Promise<Sequences> {
  const prompts = promptsOf(generation);
  const options: BeamOptions = { ...settings.common(prompts[0]!.row.length), ...settings.beamOptions() };
  const found = await beamSearch(
    decoder,
    prompts.map(({ tokens }) => tokens),
    options,
  );
  const rows = found.flatMap((sequences, i) => sequences.map(({ tokens, score }) => ({ prompt: prompts[i]!.row, tokens, score })));
  return { sequences: filled(rows, settings.beamPad), scores: rows.map(({ score }) => score) };
}

/** Rows of equal length: prompt with its padding, new tokens, filler. */
function filled(rows: readonly { prompt: readonly number[]; tokens: Int32Array }[], filler: number): number[][] {
  const longest = Math.max(...rows.map(({ tokens }) => tokens.length));
  return rows.map(({ prompt, tokens }) => [...prompt, ...tokens, ...new Array<number>(longest - tokens.length).fill(filler)]);
}

/** Each row as the reference got it, and its tokens without the padding. */
function promptsOf({ inputs }: ParityGeneration): { row: number[]; tokens: number[] }[] {
  const unknown = [...inputs.keys()].filter((name) => name !== "input_ids" && name !== "attention_mask");
  const ids = inputs.get("input_ids");
  if (!ids || unknown.length > 0)
    throw new UnsupportedError(
      `a generation's inputs are ${[...inputs.keys()].join(", ")}; input_ids and optionally attention_mask are supported.`,
    );
  const mask = inputs.get("attention_mask");
  return rowsOf(ids).map((row, i) => ({ row, tokens: mask ? row.filter((_, at) => rowsOf(mask)[i]![at] === 1) : row }));
}

function rowsOf({ shape, data }: ParityTensor): number[][] {
  const [rows, length] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => Array.from(data.slice(i * length, (i + 1) * length)));
}

/** Settings of one generation: the entry's, else those of generation_config.json, else those of config.json. */
class GenerationSettings {
  readonly #find: (key: string) => unknown;

  constructor({ config, generationConfig = {}, directory }: ParityDirectory, { settings }: ParityGeneration) {
    const unknown = Object.keys(settings).filter((key) => !known.includes(key));
    if (unknown.length > 0 || settings.do_sample === true)
      throw new UnsupportedError(`${directory}: a generation sets ${unknown.join(", ") || "do_sample"}; known are ${known.join(", ")}.`);
    this.#find = (key) => settings[key] ?? generationConfig[key] ?? config[key] ?? undefined;
  }

  get beams(): number {
    return this.#number("num_beams") ?? 1;
  }

  get #ends(): readonly number[] {
    const end = this.#find("eos_token_id") as number | readonly number[] | undefined;
    return end === undefined ? [] : typeof end === "number" ? [end] : end;
  }

  /** Greedy search fills rows that have ended with the padding id, or with the first end where there is none. */
  get pad(): number {
    return this.#number("pad_token_id") ?? this.#ends[0] ?? 0;
  }

  /** Beam search takes a padding id of 0 for none: `pad_token_id or eos_token_id[0]` in the reference. */
  get beamPad(): number {
    return this.#number("pad_token_id") || (this.#ends[0] ?? 0);
  }

  /** What both searches take; `length` is that of the prompts with their padding, which the reference's least length counts. */
  common(length: number): CommonOptions {
    const [least, ngram, forced] = ["min_length", "no_repeat_ngram_size", "forced_eos_token_id"].map((key) => this.#number(key));
    const minNewTokens = Math.max(this.#number("min_new_tokens") ?? 0, (least ?? 0) - length);
    const penalty = this.#number("repetition_penalty");
    return {
      maxNewTokens: this.#number("max_new_tokens") ?? 20,
      ...(this.#ends.length > 0 && { eos: this.#ends }),
      pad: this.pad,
      ...(minNewTokens > 0 && { minNewTokens }),
      ...(ngram && { noRepeatNgram: ngram }),
      ...(forced !== undefined && { forcedEos: forced }),
      ...(penalty !== undefined && { repetitionPenalty: penalty }),
    };
  }

  beamOptions(): Pick<BeamOptions, "beams" | "returns" | "lengthPenalty" | "earlyStopping"> {
    return {
      beams: this.beams,
      returns: this.#number("num_return_sequences") ?? 1,
      lengthPenalty: this.#number("length_penalty") ?? 1,
      earlyStopping: (this.#find("early_stopping") ?? false) as boolean | "never",
    };
  }

  #number(key: string): number | undefined {
    const value = this.#find(key);
    if (value !== undefined && typeof value !== "number")
      throw new UnsupportedError(`${key} must be a number, got ${JSON.stringify(value)}.`);
    return value;
  }
}
