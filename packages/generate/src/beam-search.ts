import { type Beam, type BeamSequence, BeamState } from "./beam-state.ts";
import type { Decoder } from "./decoder.ts";
import { expectChoosable, logSoftmaxInPlace } from "./distribution.ts";
import { refuse } from "./errors.ts";
import { expectLogits } from "./generate.ts";
import type { BeamOptions, Prompt } from "./options.ts";
import { beamOptionNames, expectInteger, type Settings, settle } from "./settings.ts";
import { TopK } from "./top-k.ts";

/**
 * Beam search as Hugging Face transformers (5.x) does it, for a batch of prompts that do not influence each other. Returns per
 * prompt its `returns` best sequences, best first. Processors act on log-probabilities. Fewer sequences come back only where
 * fewer exist: transformers fills up with duplicates of vanishing score.
 * Throws `GenerateError` for bad options or prompts, before the model is called, and for logits that nothing can be chosen from.
 */
export async function beamSearch(decoder: Decoder, prompts: readonly Prompt[], options: BeamOptions): Promise<BeamSequence[][]> {
  const settings = settle("beamSearch", decoder, prompts, options, beamOptionNames);
  expectBeams(options);
  const { beams, returns = 1, signal } = options;
  const { limits, eos } = settings;
  const states = limits.map((limit) => new BeamState(options, limit, eos));

  let width = 1; // rows of the decoder per prompt: one until the first step has made the beams
  let tokens: Int32Array | undefined;
  while (states.some((state) => !state.done)) {
    if (signal?.aborted) {
      for (const state of states) state.abort();
      break;
    }
    const logits = tokens
      ? await decoder.step(tokens)
      : await decoder.prefill(settings.prompts, { newTokens: Math.max(...limits), rows: prompts.length * beams });
    expectLogits("beamSearch", logits, states.length * width, decoder.vocabSize);
    states.forEach((state, item) => {
      if (!state.done) state.advance(candidatesOf(state, item, logits, width, decoder.vocabSize, settings, beams));
    });
    if (states.every((state) => state.done)) break;
    decoder.gather(parentRows(states, width, beams));
    tokens = lastTokens(states, settings.pad, beams);
    width = beams;
  }
  return states.map((state) => state.finished.slice(0, returns));
}

function expectBeams({ beams, returns = 1, lengthPenalty = 1, earlyStopping = false }: BeamOptions): void {
  if (beams === undefined) refuse("beamSearch", "beams", "given", beams);
  expectInteger("beamSearch", "beams", beams, 1);
  expectInteger("beamSearch", "returns", returns, 1);
  if (returns > beams) refuse("beamSearch", "returns", `at most beams (${beams})`, returns);
  if (!Number.isFinite(lengthPenalty)) refuse("beamSearch", "lengthPenalty", "a finite number", lengthPenalty);
  if (typeof earlyStopping !== "boolean" && earlyStopping !== "never")
    refuse("beamSearch", "earlyStopping", `true, false or "never"`, earlyStopping);
}

/** The best continuations of a prompt's beams: enough that `beams` go on even if every end token of every beam ranks above them. */
function candidatesOf(
  state: BeamState,
  item: number,
  logits: Float32Array,
  width: number,
  vocabSize: number,
  { prompts, limits, eos, chain }: Settings,
  beams: number,
): Beam[] {
  const best = new TopK(Math.max(2, 1 + eos.length) * beams);
  const prompt = prompts[item]!;
  state.running.forEach(({ tokens, score }, beam) => {
    const row = item * width + beam;
    const scores = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
    const place = `beamSearch: prompt ${item}, beam ${beam}, token ${tokens.length}`;
    expectChoosable(scores, `${place}: the model's logits`);
    logSoftmaxInPlace(scores);
    const context = { history: Int32Array.of(...prompt, ...tokens), promptLength: prompt.length, limit: limits[item]! };
    for (const process of chain) process(scores, context);
    if (chain.length > 0) expectChoosable(scores, `${place}: the processed log-probabilities`);
    for (let token = 0; token < vocabSize; token++) {
      const total = score + scores[token]!;
      if (total > best.floor) best.offer(total, beam * vocabSize + token);
    }
  });
  return best.sorted().map(({ score, index }) => {
    const parent = Math.floor(index / vocabSize);
    return { tokens: [...state.running[parent]!.tokens, index % vocabSize], score, parent };
  });
}

/** The row that each of the next step's rows continues. Rows without a beam copy their prompt's first; they are not read. */
function parentRows(states: readonly BeamState[], width: number, beams: number): Int32Array {
  return Int32Array.from({ length: states.length * beams }, (_, row) => {
    const item = Math.floor(row / beams);
    return item * width + (states[item]!.running[row % beams]?.parent ?? 0);
  });
}

function lastTokens(states: readonly BeamState[], pad: number, beams: number): Int32Array {
  return Int32Array.from(
    { length: states.length * beams },
    (_, row) => states[Math.floor(row / beams)]!.running[row % beams]?.tokens.at(-1) ?? pad,
  );
}
