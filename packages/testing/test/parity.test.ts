import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareOutput, compareSequences, type ParityReader, readParity, readParityModules } from "../src/index.ts";

/** A file of tensors for the tests: JSON instead of safetensors, as the reader is handed in. */
const open = async (path: string): Promise<ParityReader> => {
  const { readFile } = await import("node:fs/promises");
  const file = JSON.parse(await readFile(path, "utf8")) as Record<string, { shape: number[]; data: number[] }>;
  return { tensors: new Map(Object.entries(file)), values: async (name) => Float32Array.from(file[name]!.data) };
};
let directory: string;
const put = (name: string, content: unknown) => writeFile(join(directory, name), JSON.stringify(content));

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "parity-"));
});
afterAll(() => rm(directory, { recursive: true }));

test("reads a directory, its masks, generations and numbers that JSON cannot hold", async () => {
  await put("config.json", { vocab_size: 5, limit: { __float__: "Infinity" }, low: { __float__: "-inf" } });
  await put("parity.json", {
    architecture: "Toy",
    reference: "by hand",
    outputs: { logits: { atol: 0.1, rtol: 0, where: "mask" }, loss: { atol: 0, rtol: 1e-3 } },
    generate: [{ inputs: { input_ids: "inputs.ids" }, max_new_tokens: 2, sequences: [[1, 2, 3]], scores: [-1], scores_atol: 0.5 }],
  });
  await put("parity.safetensors", {
    "inputs.ids": { shape: [1, 2], data: [1, 2] },
    "inputs.mask": { shape: [1, 2], data: [0, 1] },
    "outputs.logits": { shape: [1, 2, 2], data: [1, 2, 3, 4] },
    "outputs.loss": { shape: [], data: [2] },
  });
  const parity = await readParity(directory, open);
  expect(parity.config).toEqual({ vocab_size: 5, limit: Number.POSITIVE_INFINITY, low: Number.NEGATIVE_INFINITY });
  expect([...parity.inputs.keys()]).toEqual(["ids", "mask"]);
  expect(parity.generationConfig).toBeUndefined();
  const [generation] = parity.generations;
  expect(generation).toMatchObject({ sequences: [[1, 2, 3]], scores: [-1], scoresAtol: 0.5, settings: { max_new_tokens: 2 } });
  expect(generation?.inputs.get("input_ids")?.shape).toEqual([1, 2]);

  const [logits, loss] = parity.outputs;
  // The first position is masked: what stands there is nobody's business.
  expect(compareOutput({ shape: [1, 2, 2], data: [9, Number.NaN, 3.05, 4] }, logits!).pass).toBe(true);
  const wrong = compareOutput({ shape: [1, 2, 2], data: [1, 2, 3, 4.2] }, logits!);
  expect({ pass: wrong.pass, index: wrong.worst?.index }).toEqual({ pass: false, index: [0, 1, 1] });
  expect(() => compareOutput({ shape: [1], data: [2] }, loss!)).toThrow("loss: has shape [1], the reference gave []");
});

test("a tensor that is not there is named, and so is a file that is no JSON", async () => {
  await put("config.json", {});
  await put("parity.json", { architecture: "Toy", reference: "", outputs: { logits: { atol: 0, rtol: 0 } } });
  await put("parity.safetensors", {});
  await expect(readParity(directory, open)).rejects.toThrow(/no tensor "outputs.logits"/);
  await writeFile(join(directory, "parity.json"), "{");
  await expect(readParity(directory, open)).rejects.toThrow(/parity.json: is no JSON/);
});

test("reads modules: cases with inputs, cotangents, options and expected values", async () => {
  const layers = await mkdtemp(join(directory, "layers-"));
  const at = (name: string) => join(layers, name);
  const cases = { plain: { options: { eps: 1 }, outputs: { "outputs.y": { atol: 1, rtol: 0 }, "grads.x": { atol: 1, rtol: 0 } } } };
  await writeFile(at("norm.json"), JSON.stringify({ reference: "by hand", notes: "rows", cases }));
  const one = (data: number) => ({ shape: [1], data: [data] });
  const tensors = { "plain.inputs.x": one(1), "plain.cotangents.y": one(2), "plain.outputs.y": one(3), "plain.grads.x": one(4) };
  await writeFile(at("norm.safetensors"), JSON.stringify(tensors));
  const [module] = await readParityModules(layers, open);
  expect(module).toMatchObject({ name: "norm", reference: "by hand", notes: "rows" });
  const [plain] = module!.cases;
  expect(plain).toMatchObject({ name: "plain", options: { eps: 1 } });
  expect([...plain!.inputs.keys(), ...plain!.cotangents.keys()]).toEqual(["x", "y"]);
  expect(plain!.expected.map(({ name, expected }) => [name, expected.data[0]])).toEqual([
    ["outputs.y", 3],
    ["grads.x", 4],
  ]);
});

test("sequences are compared token by token", () => {
  expect(compareSequences([[1, 2]], [[1, 2]])).toEqual({ pass: true, report: "1 rows equal" });
  expect(
    compareSequences(
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 2],
        [3, 5],
      ],
    ).report,
  ).toBe("row 1, token 1: got 4, expected 5");
  expect(compareSequences([[1]], [[1, 2]]).report).toBe("row 0, token 1: got the end, expected 2");
  expect(compareSequences([[1], [1]], [[1]]).pass).toBe(false);
});
