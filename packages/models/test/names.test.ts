import { readFileSync } from "node:fs";
import { namedCells } from "@x/nn";
import { Generator, reference, setDefaultDevice, withGenerator } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { families } from "../src/index.ts";

const device = reference();
beforeAll(() => setDefaultDevice(device));

interface Names {
  readonly config: Readonly<Record<string, unknown>> & { readonly model_type: string };
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[] }>>;
}
const read = (file: string): Names => JSON.parse(readFileSync(new URL(`../../../fixtures/names/${file}.json`, import.meta.url), "utf8"));

/** The same model with every width small: names depend on depth and switches alone. */
const small = {
  gpt2: { n_embd: 12, n_positions: 4, vocab_size: 5 },
  llama: {
    hidden_size: 32,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    intermediate_size: 12,
    vocab_size: 5,
    sliding_window: null,
  },
};

describe.each([
  ["gpt2", { constants: 12, tiedStored: false, base: "" }],
  ["llama-3.2-1b", { constants: 0, tiedStored: false, base: "model." }],
  ["qwen3-0.6b", { constants: 0, tiedStored: true, base: "model." }],
  ["mistral-7b-v0.1", { constants: 0, tiedStored: false, base: "model." }],
] as const)("the published names of %s", (file, { constants, tiedStored, base }) => {
  const { config, tensors } = read(file);
  const family = families[config.model_type]!;
  const published = Object.keys(tensors);
  const model = () =>
    withGenerator(new Generator({ seed: 0, device }), () => family.create({ ...config, ...small[family.name as keyof typeof small] }));

  test("are our parameters, each one once, and nothing is left over", () => {
    const { moves, dropped, unmatched } = family.names.toOurs(published);
    expect(unmatched).toEqual([]);
    expect(dropped).toHaveLength(constants);
    const ours = [...namedCells(model()).keys(), ...(tiedStored ? ["head.weight"] : [])];
    expect(moves.flatMap((move) => move.ours).sort()).toEqual(ours.sort());
  });

  test("are what our parameters are published as", () => {
    const { moves, unmatched } = family.names.toPublished(namedCells(model()).keys());
    expect(unmatched).toEqual([]);
    const made = moves.flatMap((move) => move.published);
    const dropped = new Set(family.names.toOurs(published).dropped.map(({ name }) => name));
    const expected = published.filter((name) => !dropped.has(name) && !(tiedStored && name === "lm_head.weight"));
    // The first GPT-2 was saved without the base prefix; what is written has it.
    const prefixed = expected.map((name) => (base === "" ? `transformer.${name}` : name));
    expect(made.sort()).toEqual(prefixed.sort());
  });
});
