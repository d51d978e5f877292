import { describe, expect, test } from "vitest";
import { type Decoder, type LongTextOptions, streamLongText, streamText } from "../src/index.ts";
import { hashLogits, TableDecoder } from "./table-decoder.ts";

const letters = "abcdefgh";
const decode = (ids: number[]) => ids.map((id) => letters[id]!).join("");

/** The whole text, and why it ended. */
async function written(decoder: Decoder, prompt: readonly number[], options: Omit<LongTextOptions, "decode">) {
  const pieces = streamLongText(decoder, prompt, { decode, ...options });
  let text = "";
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return { text, finish: value };
    text += value;
  }
}

/** Counts upwards: the next token follows from the last alone. */
const counting = (history: readonly number[]) => Array.from({ length: 8 }, (_, token) => (token === (history.at(-1)! + 1) % 8 ? 9 : 0));

describe("a text longer than the context", () => {
  test.each([1, 2, 5])("has the length that was asked for, with a context of %d and more", async (context) => {
    const decoder = new TableDecoder(8, counting, context + 1);
    expect(await written(decoder, [0], { maxNewTokens: 19 })).toEqual({ text: "bcdefghabcdefghabcd", finish: "length" });
  });

  test("sees the later half when the context was full", async () => {
    const seen: string[] = [];
    const watched = (history: readonly number[]) => {
      seen.push(decode([...history]));
      return counting(history);
    };
    await written(new TableDecoder(8, watched, 4), [0], { maxNewTokens: 5 });
    expect(seen).toEqual(["a", "ab", "abc", "cd", "cde"]);
  });

  test("draws on: no start repeats the numbers of the one before", async () => {
    const even = () => new Array<number>(8).fill(0);
    const options = { maxNewTokens: 30, temperature: 1, seed: 4, draw: 2 };
    const whole: string[] = [];
    for await (const piece of streamText(new TableDecoder(8, even), [0], { decode, ...options })) whole.push(piece);
    expect((await written(new TableDecoder(8, even, 5), [0], options)).text).toBe(whole.join(""));
  });

  test("takes a prompt longer than the context by its end", async () => {
    expect((await written(new TableDecoder(8, counting, 4), [7, 7, 7, 7, 2], { maxNewTokens: 3 })).text).toBe("def");
  });

  test("ends at an end token, a stop string, an abort", async () => {
    const decoder = () => new TableDecoder(8, counting, 4);
    expect(await written(decoder(), [0], { maxNewTokens: 50, eos: 6 })).toEqual({ text: "bcdef", finish: "eos" });
    expect(await written(decoder(), [0], { maxNewTokens: 50, stop: "d" })).toEqual({ text: "bc", finish: "stop" });
    expect((await written(decoder(), [0], { maxNewTokens: 50, signal: AbortSignal.abort() })).finish).toBe("abort");
  });
});

test("without a limit it is streamText", async () => {
  const options = { maxNewTokens: 20, temperature: 0.7, seed: 1 };
  const pieces: string[] = [];
  for await (const piece of streamText(new TableDecoder(8, hashLogits(8)), [1, 2], { decode, ...options })) pieces.push(piece);
  expect((await written(new TableDecoder(8, hashLogits(8)), [1, 2], options)).text).toBe(pieces.join(""));
});
