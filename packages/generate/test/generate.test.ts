import { describe, expect, it } from "vitest";
import { type GenerateOptions, generate, Sampler, stream, streamText } from "../src/index.ts";
import { hashLogits, TableDecoder } from "./table-decoder.ts";

const decoder = (maxLength?: number) => new TableDecoder(8, hashLogits(8), maxLength);
const letters = (ids: number[]) => ids.map((id) => "abcdefgh"[id]).join("");
/** After token t comes t + 1. */
const counter = () =>
  new TableDecoder(8, (history) => Array.from({ length: 8 }, (_, token) => (token === (history.at(-1)! + 1) % 8 ? 5 : 0)));

describe("generate", () => {
  it("takes the likeliest token, pads finished rows and ends each row by its own limits", async () => {
    const model = counter();
    const steps = [];
    for await (const step of stream(model, [[0], [1, 2], [5]], { maxLength: 5, eos: [7, 6], pad: 0 })) steps.push([...step.tokens]);
    expect(steps).toEqual([
      [1, 3, 6],
      [2, 4, 0],
      [3, 5, 0],
      [4, 0, 0],
    ]);
    const { rows } = await generate(model, [[0], [1, 2], [5]], { maxLength: 5, eos: [7, 6] });
    expect(rows.map(({ tokens, finish }) => [...tokens, finish])).toEqual([
      [1, 2, 3, 4, "length"],
      [3, 4, 5, "length"],
      [6, "eos"],
    ]);
    expect(model.plan).toEqual({ newTokens: 4, rows: 3 });
  });

  it("forces and forbids tokens", async () => {
    const run = async (options: GenerateOptions) => [...(await generate(counter(), [[5]], options)).rows[0]!.tokens];
    expect(await run({ maxNewTokens: 4, eos: 7, minNewTokens: 3 })).toEqual([6, 0, 1, 2]);
    expect(await run({ maxNewTokens: 3, forcedTokens: [2], forcedEos: 7 })).toEqual([2, 3, 7]);
  });

  it("repeats and resumes its draws", async () => {
    const options = { maxNewTokens: 12, temperature: 1.5, topP: 0.95, seed: 2 ** 40 + 3, repetitionPenalty: 1.2 };
    const whole = await generate(decoder(), [[1], [1]], options);
    expect(await generate(decoder(), [[1], [1]], options)).toEqual(whole);
    const first = await generate(decoder(), [[1], [1]], { ...options, maxNewTokens: 5 });
    const prompts = first.rows.map(({ tokens }) => [1, ...tokens]);
    const rest = await generate(decoder(), prompts, { ...options, maxNewTokens: 7, draw: first.draw });
    expect(prompts.map((prompt, row) => [...prompt, ...rest.rows[row]!.tokens])).toEqual(whole.rows.map(({ tokens }) => [1, ...tokens]));
    expect(whole.rows[0]).not.toEqual(whole.rows[1]);
    expect(await generate(decoder(), [[1], [1]], { ...options, seed: 3 })).not.toEqual(whole);
  });

  it("draws each token as often as its probability says", () => {
    const logits = Float32Array.of(0, 1, -Infinity, 2, -1, 0.5);
    const total = logits.reduce((sum, value) => sum + Math.exp(value), 0);
    const sampler = new Sampler({ seed: 5 });
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 20_000; i++, sampler.advance()) counts[sampler.sample(logits, i % 3)]!++;
    expect(counts[2]).toBe(0);
    const chi = counts.reduce((sum, count, token) => {
      const expected = (20_000 * Math.exp(logits[token]!)) / total;
      return expected === 0 ? sum : sum + (count - expected) ** 2 / expected;
    }, 0);
    expect(chi).toBeLessThan(18.47); // 4 degrees of freedom, p = 0.001
  });

  it("stops at strings across tokens, and gives the text before them once", async () => {
    const options = { maxNewTokens: 20, decode: letters };
    const run = async (stop: string[]) => (await generate(counter(), [[0]], { ...options, stop })).rows[0]!;
    expect(await run(["efx", "fg"])).toMatchObject({ text: "bcde", finish: "stop", stop: "fg" });
    expect((await run(["hac"])).text).toBe("bcdefghabcdefghabcde");
    const pieces: string[] = [];
    for await (const piece of streamText(counter(), [0], { ...options, stop: "efgh" })) pieces.push(piece);
    expect(pieces).toEqual(["b", "c", "d"]);
  });

  it("ends at an abort and gives what there is", async () => {
    const abort = new AbortController();
    const run = stream(counter(), [[0]], { maxNewTokens: 9, decode: letters, stop: "cx", signal: abort.signal });
    expect((await run.next()).value).toMatchObject({ text: ["b"] });
    expect((await run.next()).value).toMatchObject({ text: [""] });
    abort.abort();
    expect((await run.next()).value).toMatchObject({ tokens: new Int32Array(0), text: ["c"], finish: ["abort"] });
    expect((await run.next()).value).toMatchObject({ rows: [{ text: "bc", finish: "abort" }] });
  });

  it.each([
    [[[1]], { maxNewTokens: 2, temperature: 1, topP: 1.5 }, /topP must be between 0 and 1, received 1.5/],
    [[[1]], { maxNewTokens: 2, topK: 3 }, /temperature must be given along with topK/],
    [[[1]], { maxNewTokens: 2, temperature: -1 }, /temperature/],
    [[[1]], { maxNewTokens: 2, beams: 4 }, /beams.*use beamSearch/],
    [[[1]], { maxNewTokens: 2, topk: 4 }, /options.topk must be absent.*The options are/],
    [[[1]], { maxNewTokens: 0 }, /maxNewTokens must be an integer of at least 1/],
    [[[1]], { maxNewTokens: 2, stop: "x" }, /decode must be given/],
    [[[1]], { maxNewTokens: 2, eos: 8 }, /eos \(token 0\) must be a token id from 0 to 7, received 8/],
    [[[1]], {}, /maxNewTokens must be given/],
    [[[1], [2, 9]], { maxNewTokens: 2 }, /prompts\[1\] \(token 1\) must be a token id from 0 to 7, received 9/],
    [[[]], { maxNewTokens: 2 }, /prompts\[0\] must be at least one token/],
    [[], { maxNewTokens: 2 }, /prompts must be a list of at least one/],
  ])("refuses prompts %j with %j", async (prompts, options, message) => {
    await expect(generate(decoder(), prompts, options)).rejects.toThrow(message);
  });

  it("refuses a prompt that leaves the model no room, and logits it cannot choose from", async () => {
    await expect(generate(decoder(3), [[1, 2, 3]], {})).rejects.toThrow(/prompts\[0\].*maxLength of 3/);
    const saying = (values: number[]) => generate(new TableDecoder(2, () => values), [[0], [1]], { maxNewTokens: 2 });
    await expect(saying([0, Number.NaN])).rejects.toThrow(/row 0, token 0: the model's logits hold NaN at token 1/);
    await expect(saying([-Infinity, -Infinity])).rejects.toThrow(/nothing is left to choose/);
    await expect(saying([1])).rejects.toThrow(/returned 2 logits, expected 2 rows x 2 tokens/);
  });
});
