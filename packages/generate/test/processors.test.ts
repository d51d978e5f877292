import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { type LogitsProcessor, logitsChain, minP, noRepeatNgram, repetitionPenalty, temperature, topK, topP } from "../src/index.ts";

const makers: Record<string, (value: number) => LogitsProcessor> = { repetitionPenalty, noRepeatNgram, temperature, topK, topP, minP };
interface Golden {
  name: string;
  value: number;
  options: object;
  history: number[];
  scores: (number | null)[];
  result: (number | null)[];
}
const golden: { processors: Golden[]; chains: Golden[] } = JSON.parse(
  readFileSync(new URL("./fixtures/processors.json", import.meta.url), "utf8"),
);

function apply(chain: LogitsProcessor[], { scores, history }: Golden): (number | null)[] {
  const row = Float32Array.from(scores, (score) => score ?? -Infinity);
  for (const process of chain) process(row, { history: Int32Array.from(history), promptLength: 4, limit: 99 });
  return Array.from(row, (score) => (score === -Infinity ? null : score));
}

it.each(golden.processors.map((one) => [one.name, one.value, one] as const))(
  "%s %d agrees with transformers to the bit",
  (name, value, one) => {
    expect(apply([makers[name]!(value)], one)).toEqual(one.result);
  },
);

it.each(golden.chains)("the chain $options agrees with transformers to the bit", (one) => {
  expect(apply(logitsChain(one.options, []), one)).toEqual(one.result);
});

it("keeps ties in top-k, and one token at least in top-p", () => {
  const row = Float32Array.of(1, 3, 2, 2, 0);
  const context = { history: new Int32Array(0), promptLength: 0, limit: 9 };
  topK(2)(row, context);
  expect([...row]).toEqual([-Infinity, 3, 2, 2, -Infinity]);
  topP(0)(row, context);
  expect([...row]).toEqual([-Infinity, 3, -Infinity, -Infinity, -Infinity]);
});

it.each([() => topP(1.5), () => topK(0), () => minP(-1), () => temperature(0), () => repetitionPenalty(0), () => noRepeatNgram(0)])(
  "refuses %s",
  (make) => {
    expect(make).toThrow(/must be/);
  },
);
