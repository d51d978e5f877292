import fc from "fast-check";
import { expect, test } from "vitest";
import type { LoadTarget, SavedTensor } from "../src/index.ts";
import {
  drop,
  join,
  loadCheckpoint,
  memorySink,
  openSafetensors,
  rename,
  saveCheckpoint,
  split,
  transpose,
  writeSafetensors,
} from "../src/index.ts";

const tensor = (shape: number[], start = 0): SavedTensor => ({
  shape,
  dtype: "f32",
  values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => start + i),
});

function targetsLike(tensors: ReadonlyMap<string, SavedTensor>) {
  const got = new Map<string, unknown>();
  const targets = new Map<string, LoadTarget>();
  for (const [name, { shape, dtype }] of tensors) targets.set(name, { shape, dtype, write: (values) => void got.set(name, values) });
  return { targets, got };
}

const open = async (tensors: Iterable<readonly [string, SavedTensor]>) => {
  const sink = memorySink("file");
  await writeSafetensors(tensors, sink);
  return openSafetensors(sink.bytes());
};

const table = rename(
  [
    ["m.wte.weight", "tokens.weight"],
    ["m.h.{i}.ln.{p}", "blocks.{i}.norm.{p}"],
    ["m.h.{i}.attn.weight", split("blocks.{i}.{query,key,value}.weight", { axis: 1, parts: [4, 1, 1], andThen: transpose })],
    ["m.h.{i}.{gate,up}.weight", join("blocks.{i}.gateUp.weight", { axis: 0 })],
    ["m.h.{i}.proj.weight", transpose("blocks.{i}.proj.weight")],
    ["m.h.{i}.attn.bias", drop("causal mask buffer")],
    ["head.weight", "head.weight"],
  ],
  { base: "m." },
);

test("split cuts along the axis and turns each part", async () => {
  const file = await open([["h.0.attn.weight", tensor([2, 6])]]);
  const { targets, got } = targetsLike(
    new Map([
      ["blocks.0.query.weight", tensor([4, 2])],
      ["blocks.0.key.weight", tensor([1, 2])],
      ["blocks.0.value.weight", tensor([1, 2])],
    ]),
  );
  const report = await loadCheckpoint(targets, file, table);
  expect(got.get("blocks.0.query.weight")).toEqual(Float32Array.of(0, 6, 1, 7, 2, 8, 3, 9));
  expect(got.get("blocks.0.value.weight")).toEqual(Float32Array.of(5, 11));
  expect(report.loaded).toHaveLength(3);
});

test("import of export gives every tensor back, under its name", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      async (layers, width, unit) => {
        const ours = new Map([
          ["tokens.weight", tensor([7, width])],
          ["head.weight", tensor([width, 7], 50)],
        ]);
        for (let i = 0; i < layers; i++) {
          ours.set(`blocks.${i}.norm.weight`, tensor([width], i));
          ours.set(`blocks.${i}.query.weight`, tensor([4 * unit, width], 10 + i));
          ours.set(`blocks.${i}.key.weight`, tensor([unit, width], 20 + i));
          ours.set(`blocks.${i}.value.weight`, tensor([unit, width], 30 + i));
          ours.set(`blocks.${i}.gateUp.weight`, tensor([2 * unit, width], 40 + i));
          ours.set(`blocks.${i}.proj.weight`, tensor([2, unit, width], 60 + i));
        }
        const sink = memorySink();
        await saveCheckpoint(ours, sink, table);
        const file = await openSafetensors(sink.bytes());
        expect(file.tensors.get("m.h.0.attn.weight")!.shape).toEqual([width, 6 * unit]);
        expect(file.tensors.has("m.h.0.up.weight")).toBe(true);
        const { targets, got } = targetsLike(ours);
        await loadCheckpoint(targets, file, table);
        for (const [name, { values }] of ours) expect(got.get(name)).toEqual(values);
      },
    ),
    { numRuns: 50 },
  ));

test("a strict load says everything and writes nothing", async () => {
  const file = await open([
    ["m.wte.weigth", tensor([7, 2])],
    ["m.h.0.ln.weight", tensor([3])],
    ["m.h.0.attn.bias", tensor([1])],
    ["head.weight", tensor([1])],
  ]);
  const { targets, got } = targetsLike(
    new Map([
      ["tokens.weight", tensor([7, 2])],
      ["blocks.0.norm.weight", tensor([2])],
      ["head.weight", tensor([1])],
    ]),
  );
  const error = await loadCheckpoint(targets, file, table).catch((reason: Error) => reason.message);
  expect(error).toMatch(/tokens.weight \[7, 2\], published as m.wte.weight; did you mean m.wte.weigth\?/);
  expect(error).toMatch(/unused \(1\):\n {2}m.wte.weigth/);
  expect(error).toMatch(/blocks.0.norm.weight: expected f32 \[2\], received F32 \[3\]/);
  expect(got.size).toBe(0);
  const report = await loadCheckpoint(targets, file, table, { strict: false });
  expect([report.loaded, [...got.keys()], report.dropped]).toEqual([
    ["head.weight"],
    ["head.weight"],
    [{ name: "m.h.0.attn.bias", reason: "causal mask buffer" }],
  ]);
});

test("a value out of range is found before anything is written", async () => {
  const header = '{"a":{"dtype":"U32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U32","shape":[1],"data_offsets":[4,8]}}';
  const bytes = new Uint8Array(8 + header.length + 8).fill(255, 8 + header.length + 4);
  bytes[0] = header.length;
  bytes.set(new TextEncoder().encode(header), 8);
  const { targets, got } = targetsLike(
    new Map([
      ["a", { ...tensor([1]), dtype: "i32" as const }],
      ["b", { ...tensor([1]), dtype: "i32" as const }],
    ]),
  );
  await expect(loadCheckpoint(targets, await openSafetensors(bytes))).rejects.toThrow(/cannot load "b": .*element 0 is 4294967295/);
  expect(got.size).toBe(0);
});

test("tied names: either serves both; different values are reported", async () => {
  const [w, v] = [tensor([2]), tensor([2], 5)];
  const aliases = new Map([["head", "tokens"]]);
  const load = async (stored: [string, SavedTensor][], names: string[]) => {
    const { targets, got } = targetsLike(new Map(names.map((name) => [name, w])));
    const report = await loadCheckpoint(targets, await open(stored), undefined, { aliases });
    return { got: Object.fromEntries(got), tied: report.tied };
  };
  expect(await load([["tokens", w]], ["tokens"])).toEqual({ got: { tokens: w.values }, tied: [{ name: "head", from: "tokens" }] });
  expect((await load([["head", w]], ["tokens"])).got).toEqual({ tokens: w.values });
  expect(
    (
      await load(
        [
          ["tokens", w],
          ["head", w],
        ],
        ["tokens"],
      )
    ).got,
  ).toEqual({ tokens: w.values });
  expect((await load([["tokens", w]], ["tokens", "head"])).got).toEqual({ tokens: w.values, head: w.values });
  expect(
    await load(
      [
        ["tokens", w],
        ["head", v],
      ],
      ["tokens", "head"],
    ),
  ).toEqual({ got: { tokens: w.values, head: v.values }, tied: [] });
  await expect(
    load(
      [
        ["tokens", w],
        ["head", v],
      ],
      ["tokens"],
    ),
  ).rejects.toThrow(/tied by the model, but different.*\n {2}head and tokens/);
});

test("rules that cannot be turned around are refused", () => {
  expect(() => rename([["a.{i}", "b"]])).toThrow(/same placeholders/);
  expect(() => rename([["a.{x}", "b.{x}"]])).toThrow(/placeholders are/);
  expect(() => rename([["{a,b}", split("{c,d}", { axis: 0 })]])).toThrow(/only one side/);
  expect(() =>
    rename([
      ["{p}", "x.{p}"],
      ["a", "b"],
    ]).toPublished(["b"]),
  ).toThrow(/another rule/);
  expect(
    rename([
      ["n.gamma", "n.weight"],
      ["n.weight", "n.weight"],
    ]).toOurs(["n.weight"]).moves,
  ).toHaveLength(1);
});
