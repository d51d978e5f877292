import { reference, State, setDefaultDevice, type Tensor } from "@x/tensor";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { Embedding, formatReport, type HostState, Linear, loadStateDict, Module, stateDict } from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

class Net extends Module {
  readonly tokens = new Embedding({ vocabSize: 3, dim: 2 });
  readonly layers = [new Linear({ inputDim: 2, outputDim: 2 }), new Linear({ inputDim: 2, outputDim: 2 })];
  readonly steps = new State({ shape: [1], dtype: "i32", data: [7] });
  readonly head = { weight: this.tokens.weight };
  forward(x: Tensor): Tensor {
    return x;
  }
}

const contents = async (module: Module) => new Map([...(await stateDict(module))].map(([name, { values }]) => [name, [...values]]));

/** A state as one that a file may hold, with some names changed. */
const edited = (state: ReadonlyMap<string, HostState>, change: (entries: Map<string, HostState>) => void) => {
  const copy = new Map(state);
  change(copy);
  return copy;
};
const rename = (from: string, to: string) => (state: Map<string, HostState>) => {
  state.set(to, state.get(from)!);
  state.delete(from);
};

test("what one module gives, another takes, states and integers included", async () => {
  const [from, to] = [new Net(), new Net()];
  from.steps.write([123]);
  const state = await stateDict(from);
  expect([...state].map(([name, { shape, dtype }]) => [name, shape, dtype])).toEqual([
    ["tokens.weight", [3, 2], "f32"],
    ["layers.0.weight", [2, 2], "f32"],
    ["layers.0.bias", [2], "f32"],
    ["layers.1.weight", [2, 2], "f32"],
    ["layers.1.bias", [2], "f32"],
    ["steps", [1], "i32"],
  ]);
  expect(await contents(to)).not.toEqual(await contents(from));
  expect(loadStateDict(to, state)).toEqual({ loaded: [...state.keys()], missing: [], unused: [], mismatched: [], conflicting: [] });
  expect(await contents(to)).toEqual(await contents(from));
});

test("a state dict is a copy: later writes do not show in it", async () => {
  const net = new Net();
  const state = await stateDict(net);
  net.steps.write([0]);
  expect([...state.get("steps")!.values]).toEqual([7]);
});

test("strict loading lists everything that does not fit, and writes nothing", async () => {
  const [from, to] = [new Net(), new Net()];
  const before = await contents(to);
  const state = edited(await stateDict(from), (entries) => {
    rename("layers.0.weight", "layers.0.wieght")(entries);
    entries.set("layers.1.bias", { shape: [3], dtype: "f32", values: new Float32Array(3) });
    entries.set("extra.one", { shape: [], dtype: "f32", values: new Float32Array(1) });
    entries.set("extra.two", { shape: [], dtype: "f32", values: new Float32Array(1) });
  });
  const message = [
    "loadStateDict: names, shapes or values do not fit, and nothing was loaded. Pass { strict: false } to load what fits.",
    "fitting: 4",
    "missing in the file (1): layers.0.weight (is it layers.0.wieght?)",
    "unused from the file (3): extra.one, extra.two, layers.0.wieght",
    "other shapes (1): layers.1.bias is [2] here, [3] in the file",
  ];
  let said = "";
  try {
    loadStateDict(to, state);
  } catch (error) {
    said = (error as Error).message;
  }
  expect(
    said
      .split("\n")
      .map((line) => (line.startsWith("unused") ? `${line.split(": ")[0]}: ${line.split(": ")[1]!.split(", ").sort().join(", ")}` : line)),
  ).toEqual(message);
  expect(await contents(to)).toEqual(before);
});

test("without strict, what fits is loaded and the rest is reported", async () => {
  const [from, to] = [new Net(), new Net()];
  const before = await contents(to);
  const report = loadStateDict(to, edited(await stateDict(from), rename("tokens.weight", "words.weight")), { strict: false });
  expect(report.missing).toEqual(["tokens.weight"]);
  expect(report.unused).toEqual(["words.weight"]);
  expect(formatReport(report)).toContain("tokens.weight (is it words.weight?)");
  const after = await contents(to);
  expect(after.get("tokens.weight")).toEqual(before.get("tokens.weight"));
  expect(after.get("layers.1.weight")).toEqual((await contents(from)).get("layers.1.weight"));
});

test("a tied parameter may come under any of its names", async () => {
  const [from, to] = [new Net(), new Net()];
  const report = loadStateDict(to, edited(await stateDict(from), rename("tokens.weight", "head.weight")));
  expect(report.loaded).toContain("tokens.weight");
  expect(await contents(to)).toEqual(await contents(from));
  const both = edited(await stateDict(from), (entries) => entries.set("head.weight", entries.get("tokens.weight")!));
  expect(loadStateDict(new Net(), both).conflicting).toEqual([]);
});

test("a tied parameter with two values is refused: one of them would be lost", async () => {
  const to = new Net();
  const before = await contents(to);
  const state = edited(await stateDict(new Net()), (entries) => {
    entries.set("head.weight", { shape: [3, 2], dtype: "f32", values: new Float32Array(6).fill(9) });
  });
  expect(() => loadStateDict(to, state)).toThrow("tied here, but different in the file (1): tokens.weight and head.weight");
  expect(await contents(to)).toEqual(before);
  expect(loadStateDict(to, state, { strict: false }).conflicting).toEqual([{ name: "tokens.weight", other: "head.weight" }]);
  expect((await contents(to)).get("tokens.weight")).toEqual([...state.get("tokens.weight")!.values]);
});

test.each([true, false])("values that do not fill their shape stop everything before anything is written (strict %s)", async (strict) => {
  const to = new Net();
  const before = await contents(to);
  const state = edited(await stateDict(new Net()), (entries) => {
    entries.set("steps", { shape: [1], dtype: "i32", values: new Int32Array(0) });
  });
  expect(() => loadStateDict(to, state, { strict })).toThrow("loadStateDict: steps has shape [1] but 0 values. Nothing was loaded.");
  expect(await contents(to)).toEqual(before);
});

test("whatever is taken away, added or reshaped, the report accounts for every name on both sides", async () => {
  const state = await stateDict(new Net());
  const net = new Net();
  const names = [...state.keys()];
  const reshaped: HostState = { shape: [5], dtype: "f32", values: new Float32Array(5) };
  fc.assert(
    fc.property(fc.subarray(names), fc.subarray(names), fc.uniqueArray(fc.string({ minLength: 1 })), (dropped, changed, added) => {
      const file = edited(state, (entries) => {
        for (const name of changed) entries.set(name, reshaped);
        for (const name of dropped) entries.delete(name);
        for (const name of added) entries.set(`~${name}`, reshaped);
      });
      const report = loadStateDict(net, file, { strict: false });
      expect(report.missing).toEqual(names.filter((name) => dropped.includes(name)));
      expect(new Set(report.unused)).toEqual(new Set(added.map((name) => `~${name}`)));
      expect(report.mismatched.map(({ name }) => name)).toEqual(names.filter((name) => changed.includes(name) && !dropped.includes(name)));
      expect(report.loaded.length + report.missing.length + report.mismatched.length).toBe(names.length);
    }),
    { numRuns: 50 },
  );
});
