import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { wasm } from "@x/kernels-wasm";
import { type Device, reference } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parity } from "../src/cli.ts";
import { checkParity } from "../src/parity.ts";
import { asText, passes } from "../src/report.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const fixtures = join(root, "fixtures");
const directories = [...readdirSync(join(fixtures, "parity")).map((name) => `parity/${name}`)];

const devices = [
  { name: "reference", open: () => reference(), required: true },
  { name: "wasm", open: (): Promise<Device> => wasm(), required: true },
];
await describeDevices(
  devices,
  (device, { test: check }) => {
    for (const name of [...directories, "layers"])
      check(name, async () => {
        const report = await checkParity(join(fixtures, name), device);
        expect(passes(report) ? "" : asText(report)).toBe("");
        expect(report.outputs.length).toBeGreaterThan(4);
      });
  },
  { describe, test },
);

describe("the command", () => {
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), "parity-app-"));
  });
  afterAll(() => rmSync(home, { recursive: true }));

  const copy = (name: string): string => {
    const path = mkdtempSync(join(home, "copy-"));
    cpSync(join(fixtures, "parity", name), path, { recursive: true });
    return path;
  };
  /** Runs it on the reference device: its status, what it prints and what it complains of. */
  const run = async (...args: string[]) => {
    const [printed, complaints] = [[] as string[], [] as string[]];
    const status = await parity(
      [...args, "--device", "reference"],
      (line) => printed.push(line),
      (line) => complaints.push(line),
    );
    return { status, printed: printed.join("\n"), complaints: complaints.join("\n") };
  };
  /** Changes one f32 of a tensor in a safetensors file. */
  const disturb = (file: string, tensor: string, change: (value: number) => number): void => {
    const bytes = readFileSync(file);
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const at = start + JSON.parse(bytes.toString("utf8", 8, start))[tensor].data_offsets[0];
    bytes.writeFloatLE(change(bytes.readFloatLE(at)), at);
    writeFileSync(file, bytes);
  };
  const editJson = (file: string, edit: (content: Record<string, unknown>) => unknown): void =>
    writeFileSync(file, JSON.stringify(edit(JSON.parse(readFileSync(file, "utf8")))));

  test("prints one line of JSON of exactly the agreed form", async () => {
    const { status, printed } = await run(join(fixtures, "parity/gpt2-sharded"), "--json");
    expect(status).toBe(0);
    expect(printed.split("\n")).toHaveLength(1);
    const report = JSON.parse(printed);
    expect(Object.keys(report)).toEqual(["family", "device", "outputs", "generations", "pass"]);
    expect(report).toMatchObject({ family: "gpt2", device: "reference", pass: true });
    for (const output of report.outputs) expect(Object.keys(output)).toEqual(["name", "maxAbs", "maxRel", "pass"]);
    expect(report.outputs[0]).toEqual({ name: "logits", maxAbs: expect.any(Number), maxRel: expect.any(Number), pass: true });
    expect(report.generations).toEqual([{ pass: true }]);
  });

  test("an expectation that is off by a little fails, with its place, and status 1", async () => {
    const path = copy("gpt2-legacy");
    disturb(join(path, "parity.safetensors"), "outputs.hidden_states.1", (value) => value + 1e-2);
    const { status, printed } = await run(path);
    expect(status).toBe(1);
    expect(printed).toMatch(/FAIL {2}hidden_states\.1 .*abs 1\.00e-2 .*at \[0, 0, 0\]/);
    expect(printed).toMatch(/1 failing$/);
  });

  test("a weight that is off fails", async () => {
    const path = copy("qwen2-base");
    disturb(join(path, "model.safetensors"), "model.layers.0.self_attn.k_proj.bias", (value) => value + 0.5);
    expect((await run(path)).status).toBe(1);
  });

  test("of segments, a memory and a later segment's gradient that are off fail", async () => {
    const path = copy("transfo-xl-short-memory");
    const file = join(path, "parity.safetensors");
    disturb(file, "outputs.first.mems.1", (value) => value + 1e-2);
    disturb(file, "outputs.second.grad.crit.cluster_bias", (value) => value + 1e-3);
    const { status, printed } = await run(path);
    expect(status).toBe(1);
    expect(printed).toMatch(/FAIL {2}first\.mems\.1 .*abs 1\.00e-2 .*at \[0, 0, 0\]/);
    expect(printed).toMatch(/FAIL {2}second\.grad\.crit\.cluster_bias /);
    expect(printed).toMatch(/2 failing$/);
  });

  test("segments that forget the one before fail", async () => {
    const path = copy("transfo-xl-own-output");
    editJson(join(path, "parity.json"), (spec) => ({ ...spec, segments: ["second"] }));
    const { status, printed } = await run(path);
    expect(status).toBe(1);
    expect(printed).toMatch(/FAIL {2}first\.loss .*no such output/);
    expect(printed).toMatch(/FAIL {2}second\.hidden_states\.1 .*expected/);
    expect(printed).toMatch(/pass {2}second\.hidden_states\.0 /);
  });

  test("a generated token and a score that are off fail, and a filler other than the reference's", async () => {
    const path = copy("gpt2-untied");
    editJson(join(path, "parity.json"), (spec) => {
      const [first, second] = spec.generate as { sequences: number[][]; scores: number[] }[];
      first!.sequences[1]![first!.sequences[1]!.length - 2]! ^= 1;
      second!.scores[1]! += 0.01;
      return spec;
    });
    const { status, printed } = await run(path);
    expect(status).toBe(1);
    expect(printed).toMatch(/FAIL {2}generation 0: greedy, row 1, token \d+: got/);
    expect(printed).toMatch(/FAIL {2}generation 1: 3 beams, .* scores differ by 1\.0\de-2/);
  });

  test("a listed output that the model does not have fails instead of passing unseen", async () => {
    const path = copy("gpt2-legacy");
    editJson(join(path, "parity.json"), (spec) => {
      const outputs = spec.outputs as Record<string, unknown>;
      return {
        ...spec,
        outputs: { "hidden_states.0": outputs["hidden_states.0"], "hidden_states.1": outputs["hidden_states.1"] },
        generate: [],
      };
    });
    expect((await run(path)).status).toBe(0);
    const file = join(path, "parity.safetensors");
    writeFileSync(file, readFileSync(file).toString("latin1").replace('"outputs.hidden_states.1"', '"outputs.hidden_states.9"'), "latin1");
    editJson(join(path, "parity.json"), (spec) => ({ ...spec, outputs: { "hidden_states.9": { atol: 1, rtol: 1 } } }));
    const { status, printed } = await run(path);
    expect({ status, printed }).toMatchObject({ status: 1, printed: expect.stringContaining("no such output") });
  });

  test("what is not built has status 2 and says what is", async () => {
    const path = copy("gpt2-legacy");
    editJson(join(path, "parity.json"), (spec) => ({ ...spec, architecture: "Cait" }));
    expect(await run(path)).toMatchObject({
      status: 2,
      complaints: expect.stringMatching(/Cait is not supported; known are GPT2LMHeadModel/),
    });
    editJson(join(path, "parity.json"), (spec) => ({ ...spec, architecture: "GPT2LMHeadModel", forward: { use_bee: true } }));
    expect(await run(path)).toMatchObject({ status: 2, complaints: expect.stringContaining("use_bee") });
    editJson(join(path, "parity.json"), (spec) => ({ ...spec, forward: {}, segments: ["first"] }));
    expect(await run(path)).toMatchObject({ status: 2, complaints: expect.stringContaining("only TransfoXLLMHeadModel remembers") });
    const segments = copy("transfo-xl-own-output");
    editJson(join(segments, "parity.json"), (spec) => ({ ...spec, segments: ["first", "third"] }));
    expect(await run(segments)).toMatchObject({ status: 2, complaints: expect.stringContaining("has no inputs.third.input_ids") });
    expect(await run(home)).toMatchObject({ status: 2, complaints: expect.stringContaining("is this a parity directory?") });
    expect(await run()).toMatchObject({ status: 2, complaints: expect.stringContaining("usage: parity DIR") });
    expect(await run(path, "--quick")).toMatchObject({ status: 2, complaints: expect.stringContaining("usage: parity DIR") });
    const complaints: string[] = [];
    expect(
      await parity(
        [path, "--device", "abacus"],
        () => {},
        (line) => complaints.push(line),
      ),
    ).toBe(2);
    expect(complaints[0]).toMatch(/no device "abacus"; there are wasm, webgpu, reference/);
  });

  test("a checkpoint that is cut short is an error that names the file, with status 1", async () => {
    const path = copy("gpt2-legacy");
    const file = join(path, "model.safetensors");
    writeFileSync(file, readFileSync(file).subarray(0, -8));
    expect(await run(path)).toMatchObject({ status: 1, complaints: expect.stringContaining("model.safetensors") });
  });

  test("runs as a program", () => {
    const args = ["--conditions=@x/source", "--import", "tsx", "apps/parity/src/main.ts", "fixtures/parity/gpt2-legacy", "--json"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    expect({ status, stderr, pass: JSON.parse(stdout).pass, device: JSON.parse(stdout).device }).toEqual({
      status: 0,
      stderr: "",
      pass: true,
      device: "wasm",
    });
  });
});
