import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type BeamOptions, beamSearch, generate } from "../src/index.ts";
import { hashLogits, TableDecoder } from "./table-decoder.ts";

interface Case {
  table: number;
  prompts: number[][];
  eos: number[];
  options: BeamOptions & { maxNewTokens: number };
  sequences: number[][];
  scores: number[] | null;
}
const golden: { tables: number[][]; cases: Case[] } = JSON.parse(readFileSync(new URL("./fixtures/beam.json", import.meta.url), "utf8"));

/** Below this a score of transformers marks a duplicate that fills up the list where fewer sequences exist; ours leaves those out. */
const vanishing = -1e7;

describe("beamSearch", () => {
  it.each(golden.cases.map((one, index) => [index, one] as const))("agrees with transformers, case %i", async (_, one) => {
    const table = golden.tables[one.table]!.map((value) => value / 64);
    const decoder = TableDecoder.ofTable(12, table);
    const { beams, returns, lengthPenalty, earlyStopping, ...common } = one.options;
    if (one.scores === null) {
      // With one beam transformers is greedy, and its processors act on logits.
      const { rows } = await generate(decoder, one.prompts, { ...common, eos: one.eos, pad: 0 });
      expect(rows.map(({ tokens }) => [...tokens])).toEqual(one.sequences);
      return;
    }
    const found = (await beamSearch(decoder, one.prompts, { ...one.options, eos: one.eos, pad: 0 })).flat();
    expect(found.map(({ tokens }) => [...tokens])).toEqual(one.sequences.filter((_, index) => one.scores![index]! > vanishing));
    const scores = one.scores.filter((score) => score > vanishing);
    scores.forEach((score, index) => {
      expect(Math.abs(found[index]!.score - score)).toBeLessThan(1e-4);
    });
  });

  it.each([-1, 0, 1, 2])("finds the best of all sequences when the beams hold them all, length penalty %d", async (lengthPenalty) => {
    const logits = hashLogits(4);
    const all: { tokens: number[]; score: number }[] = [];
    const walk = (tokens: number[], sum: number): void => {
      if (tokens.at(-1) === 3 || tokens.length === 4) {
        all.push({ tokens, score: sum / tokens.length ** lengthPenalty });
        return;
      }
      const row = logits([1, ...tokens]);
      const total = Math.log(row.reduce((a, value) => a + Math.exp(value), 0));
      row.forEach((value, token) => {
        walk([...tokens, token], sum + value - total);
      });
    };
    walk([], 0);
    all.sort((a, b) => b.score - a.score);
    const options = { beams: 200, returns: 5, maxNewTokens: 4, eos: 3, lengthPenalty, earlyStopping: "never" } as const;
    const [found] = await beamSearch(new TableDecoder(4, logits), [[1]], options);
    expect(found!.map(({ tokens }) => [...tokens])).toEqual(all.slice(0, 5).map(({ tokens }) => tokens));
    found!.forEach(({ score }, index) => {
      expect(score).toBeCloseTo(all[index]!.score, 5);
    });
  });

  it("with one beam is greedy, and a prompt's result does not depend on its batch", async () => {
    const decoder = new TableDecoder(9, hashLogits(9));
    const prompts = [[1], [2, 3, 4], [5, 5]];
    const greedy = await generate(decoder, prompts, { maxLength: 9, eos: 4 });
    const one = await beamSearch(decoder, prompts, { beams: 1, maxLength: 9, eos: 4 });
    expect(one.map((list) => [...list[0]!.tokens])).toEqual(greedy.rows.map(({ tokens }) => [...tokens]));
    const options = { beams: 3, returns: 3, maxLength: 9, eos: 4 };
    const together = await beamSearch(decoder, prompts, options);
    for (const [index, prompt] of prompts.entries()) expect([together[index]]).toEqual(await beamSearch(decoder, [prompt], options));
  });

  it("returns what runs when it is aborted", async () => {
    const abort = new AbortController();
    const decoder = new TableDecoder(5, (history) => {
      if (history.length === 4) abort.abort();
      return hashLogits(5)(history);
    });
    const [found] = await beamSearch(decoder, [[1]], { beams: 2, maxNewTokens: 50, signal: abort.signal });
    expect(found![0]).toMatchObject({ finish: "abort" });
    expect(found![0]!.tokens.length).toBe(4);
  });

  it.each([
    [{ beams: 2, maxNewTokens: 3, temperature: 1 }, /temperature.*Beam search does not sample/],
    [{ beams: 0, maxNewTokens: 3 }, /beams must be an integer of at least 1, received 0/],
    [{ maxNewTokens: 3 }, /beams must be given/],
    [{ beams: 2, returns: 3, maxNewTokens: 3 }, /returns must be at most beams \(2\)/],
    [{ beams: 2, maxNewTokens: 3, earlyStopping: "maybe" }, /earlyStopping/],
    [{ beams: 2, maxNewTokens: 3, lengthPenalty: Number.NaN }, /lengthPenalty/],
  ])("refuses %j", async (options, message) => {
    await expect(beamSearch(new TableDecoder(5, hashLogits(5)), [[1]], options as never)).rejects.toThrow(message);
  });
});
