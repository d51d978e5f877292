import { spawnSync } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CharacterTokenizer } from "@x/data";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type App, bundledApp, records } from "./app.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const text = Array.from({ length: 400 }, (_, i) => `line ${(i * i) % 97} of a text\n`).join("");
const tiny = ["--preset", "tiny", "--threads", "1"];
let app: App;
let data = "";
/** A run that others read. */
let run = "";
const at = (...names: string[]) => join(app.folder, ...names);

beforeAll(async () => {
  app = await bundledApp();
  data = at("text.txt");
  await writeFile(data, text);
  run = at("run");
  const made = await app.run(["train", "--data", data, "--out", run, "--steps", "40", "--evaluate-every", "25", ...tiny, "--json"]);
  expect(made.stderr).toBe("");
  await writeFile(at("run.out"), made.stdout);
}, 60_000);
afterAll(() => app.remove());

describe("JSON lines", () => {
  test("training: a record a step, evaluations among them, nothing else", async () => {
    const lines = records(await readFile(at("run.out"), "utf8"));
    const steps = lines.filter((line) => "loss" in line);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    for (const step of steps) expect(Object.keys(step)).toEqual(["step", "loss", "lr", "tokensPerSecond"]);
    expect(lines.filter((line) => "valLoss" in line)).toEqual([
      { step: 25, valLoss: expect.any(Number) },
      { step: 40, valLoss: expect.any(Number) },
    ]);
    expect(steps[39]!.loss).toBeLessThan(steps[0]!.loss!);
    expect([steps[0]!.lr, steps[10]!.lr, steps[39]!.lr]).toEqual([expect.closeTo(1e-3 / 11, 12), 1e-3, expect.closeTo(1.02e-4, 5)]);
  });

  test("the same records are in metrics.jsonl, and TensorBoard's events beside them", async () => {
    const kept = records(await readFile(join(run, "metrics.jsonl"), "utf8"));
    const printed = records(await readFile(at("run.out"), "utf8"));
    expect(kept.map(({ step, loss, valLoss }) => [step, loss, valLoss])).toEqual(
      printed.map(({ step, loss, valLoss }) => [step, loss, valLoss]),
    );
    expect(await readdir(join(run, "tensorboard"))).toEqual([expect.stringMatching(/^events\.out\.tfevents\./)]);
  });

  test("evaluation is that of the run; generation ends with its text", async () => {
    const evaluated = await app.run(["eval", "--from", run, "--data", data, "--threads", "1", "--json"]);
    const [last] = records(await readFile(at("run.out"), "utf8")).slice(-1);
    expect(records(evaluated.stdout)).toEqual([{ step: 40, valLoss: expect.closeTo(last!.valLoss!, 6) }]);
    const ask = (...more: string[]) =>
      app.run(["generate", "--from", run, "--prompt", "line ", "--tokens", "50", "--threads", "1", ...more]);
    const [json, again, plain, greedy] = await Promise.all([ask("--json"), ask("--json"), ask(), ask("--temperature", "0", "--json")]);
    const { text: made } = JSON.parse(json.stdout) as { text: string };
    expect(Object.keys(JSON.parse(json.stdout))).toEqual(["text"]);
    expect([made.slice(0, 5), made.length]).toEqual(["line ", 55]);
    expect([again.stdout, plain.stdout]).toEqual([json.stdout, `${made}\n`]);
    expect(JSON.parse(greedy.stdout).text).not.toBe(made);
  });
});

describe("interruption", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s, twice within milliseconds: saves, says how to resume, and the run goes on", async (signal, status) => {
    const out = at(signal);
    const going = app.start(["train", "--data", data, "--out", out, "--steps", "100000", "--evaluate-every", "100000", ...tiny, "--json"]);
    await going.printed('"step":3');
    going.child.kill(signal);
    setTimeout(() => going.child.kill(signal), 3);
    const ended = await going.ended;
    expect(ended).toMatchObject({ status, signal: null });
    const { step } = records(ended.stdout).at(-1)!;
    expect(ended.stderr).toContain(`Interrupted at step ${step}. Saved to ${out}/step-`);
    expect(ended.stderr).toContain(`train --resume --out ${out}`);
    const on = await app.run(["train", "--resume", "--out", out, "--steps", String(step! + 2), "--threads", "1", "--json"]);
    expect(on.status).toBe(0);
    expect(records(on.stdout).map((record) => record.step)).toEqual([step! + 1, step! + 2, step! + 2]);
  });

  test("a reader that goes away is an interruption too", async () => {
    const out = at("pipe");
    const going = app.start(["train", "--data", data, "--out", out, "--steps", "100000", ...tiny, "--json"]);
    await going.printed('"step":3');
    going.child.stdout!.destroy();
    expect((await going.ended).status).toBe(141);
    expect(await readdir(out)).toContain("latest");
  });
});

describe("a decoder of other parts", () => {
  test.each([
    ["dense", "alibi", "rms", "sandwich", "1"],
    ["longformer", "none", "layer", "pre", "2"],
    ["bigbird", "t5", "layer", "post", "1"],
    ["performer", "rope", "rms", "pre", "1"],
    ["xl", "xl", "layer", "deep", "2"],
  ])("%s, %s, %s, %s, %s heads of keys: trains, resumes, is evaluated, writes", async (mixer, position, norm, residual, heads) => {
    const out = at(`parts-${mixer}`);
    const parts = ["--mixer", mixer, "--position", position, "--norm", norm, "--residual", residual, "--heads-kv", heads];
    const common = ["--threads", "1", "--json"];
    const made = await app.run(["train", "--data", data, "--out", out, "--steps", "12", "--lr", "0.01", ...parts, ...tiny, "--json"]);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const losses = records(made.stdout).flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
    expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.2);
    const on = await app.run(["train", "--resume", "--out", out, "--steps", "13", ...common]);
    expect(records(on.stdout).map(({ step }) => step)).toEqual([13, 13]);
    const evaluated = await app.run(["eval", "--from", out, "--data", data, ...common]);
    expect(records(evaluated.stdout)).toEqual([{ step: 13, valLoss: expect.closeTo(records(on.stdout).at(-1)!.valLoss!, 5) }]);
    const sampled = await app.run(["generate", "--from", out, "--prompt", "line ", "--tokens", "40", ...common]);
    expect(sampled.stderr).toBe("");
    expect(JSON.parse(sampled.stdout).text).toHaveLength(45);
  });
});

describe("going on from a checkpoint", () => {
  test("of ours: a new run with its weights and its characters", async () => {
    const out = at("on");
    const made = await app.run(["train", "--data", data, "--from", run, "--out", out, "--steps", "3", "--threads", "1", "--json"]);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const before = records(await readFile(at("run.out"), "utf8"))[0]!.loss!;
    expect(records(made.stdout)[0]!.loss).toBeLessThan(before - 0.2);
  });

  test("in f16: its precision and its loss scale are the run's, its weights anyone's", async () => {
    const out = at("half");
    const common = ["--threads", "1", "--json"];
    const made = await app.run(["train", "--data", data, "--out", out, "--steps", "3", "--precision", "f16", ...tiny, "--json"]);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    for (const step of records(made.stdout).slice(0, 3)) expect(Object.keys(step)).toEqual(["step", "loss", "lr", "tokensPerSecond"]);
    const on = await app.run(["train", "--resume", "--out", out, "--steps", "5", ...common]);
    expect(records(on.stdout).map(({ step }) => step)).toEqual([4, 5, 5]);
    const kept = records(await readFile(join(out, "metrics.jsonl"), "utf8")).filter((record) => "loss" in record);
    expect(kept.map(({ lossScale }) => lossScale)).toEqual(Array.from({ length: 5 }, () => 65536));
    const other = await app.run(["train", "--resume", "--out", out, "--steps", "6", "--precision", "f32", ...common]);
    expect(other).toMatchObject({ status: 1, stderr: expect.stringMatching(/loss_scale belongs nowhere.*Resume with the options/) });
    const evaluated = await app.run(["eval", "--from", out, "--data", data, ...common]);
    expect(records(evaluated.stdout)).toEqual([{ step: 5, valLoss: expect.closeTo(records(on.stdout).at(-1)!.valLoss!, 6) }]);
  });

  test.each(["gpt2-base", "gpt2-untied", "llama-base"])("published: %s is trained, saved as ours, resumed, and writes", async (name) => {
    const published = at(`published-${name}`);
    await mkdir(published);
    for (const file of ["config.json", "model.safetensors"])
      await copyFile(join(root, "fixtures/parity", name, file), join(published, file));
    await writeFile(join(published, "tokenizer.json"), JSON.stringify(CharacterTokenizer.fromText(text)));
    const out = at(`from-${name}`);
    const common = ["--threads", "1", "--context", "8", "--json"];
    const made = await app.run(["train", "--data", data, "--from", published, "--out", out, "--steps", "3", ...common]);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    const on = await app.run(["train", "--resume", "--out", out, "--steps", "4", ...common]);
    expect(records(on.stdout).map(({ step }) => step)).toEqual([4, 4]);
    for (const from of [published, out]) {
      const sampled = await app.run(["generate", "--from", from, "--prompt", "line", "--tokens", "20", "--threads", "1", "--json"]);
      expect(sampled.stderr).toBe("");
      expect(JSON.parse(sampled.stdout).text).toMatch(/^line/);
    }
  });
});

describe("bad input: one sentence, status 1, nothing written", () => {
  const out = () => at("never");
  const withData = (...more: string[]) => ["train", "--data", data, "--out", out(), ...more];
  const cases: [name: string, args: () => string[], said: RegExp][] = [
    ["no command", () => ["fly"], /there is no command "fly"/],
    ["an unknown option", () => withData("--stepz", "3"), /Unknown option '--stepz'\. The options are .*--steps/],
    ["no number", () => withData("--steps", "ten"), /--steps: expected a whole number of at least 1, got "ten"/],
    ["a dropout above 1", () => withData("--dropout", "2"), /--dropout: expected a number of at least 0 and at most 1/],
    ["a mixer that is none", () => withData("--mixer", "conv"), /--mixer: expected one of dense, longformer, .*, got "conv"/],
    ["heads that do not divide", () => withData("--heads-kv", "3"), /Decoder: numHeads 4 must be a multiple of numKvHeads 3/],
    [
      "parts of a model that is there",
      () => withData("--from", run, "--norm", "rms"),
      /--norm: the model is that of .*, with its own parts/,
    ],
    ["a precision that is none", () => withData("--precision", "f8"), /--precision: expected one of f32, f16, bf16, got "f8"/],
    ["no data", () => ["train", "--out", out()], /--data is needed: a text file/],
    ["a preset that is none", () => withData("--preset", "constructor"), /there is no preset "constructor"; there are tiny, baby/],
    ["a device that is none", () => withData("--device", "toString"), /there is no device "toString"; there are wasm, webgpu, reference/],
    ["a file that is not there", () => ["train", "--data", at("none.txt"), "--out", out()], /none\.txt: cannot be read: ENOENT/],
    ["a directory", () => ["train", "--data", app.folder, "--out", out()], /cannot be read: EISDIR/],
    ["an empty file", () => ["train", "--data", at("empty.txt"), "--out", out()], /empty\.txt: the file is empty/],
    [
      "a tiny file",
      () => ["train", "--data", at("small.txt"), "--out", out()],
      /small\.txt: its training part has 9 tokens, but a window takes 65/,
    ],
    ["a binary file", () => ["train", "--data", process.execPath, "--out", out()], /so this is no text file/],
    ["a place that cannot be made", () => ["train", "--data", data, "--out", join(data, "x")], /text\.txt\/x: cannot be/],
    ["a run that is there", () => ["train", "--data", data, "--out", run], /already holds a run, at step 40\. Add --resume/],
    ["a checkpoint that is not there", () => ["generate", "--from", at("none")], /none: holds no checkpoint/],
    [
      "a character that the model has not",
      () => ["generate", "--from", run, "--prompt", "line €"],
      /--prompt: .*"€" \(U\+20AC\) at position 5/,
    ],
    [
      "a prompt beyond the context",
      () => ["generate", "--from", run, "--prompt", "line ".repeat(9)],
      /--prompt: has 45 tokens, but the model sees at most 32/,
    ],
    ["other text to resume with", () => ["train", "--resume", "--out", run, "--data", at("other.txt")], /the text is another one/],
    [
      "another model to resume",
      () => ["train", "--resume", "--out", run, "--data", data, "--batch", "3"],
      /batch is another one: the run had batch 8/,
    ],
    [
      "a text with unknown characters",
      () => ["eval", "--from", run, "--data", at("unknown.txt")],
      /--data .*unknown\.txt: .*is not among the/,
    ],
    ["a context that the model has not", () => ["eval", "--from", run, "--data", data, "--context", "99"], /sees at most 32 tokens/],
  ];
  beforeAll(async () => {
    await writeFile(at("empty.txt"), "");
    await writeFile(at("small.txt"), "ten chars!");
    await writeFile(at("other.txt"), text.slice(0, -9));
    await writeFile(at("unknown.txt"), `${text}€`);
  });

  test.each(cases)("%s", async (_, args, said) => {
    const before = await readdir(run);
    const { status, stdout, stderr } = await app.run(args());
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(said);
    expect(stderr.split("\n")[0]).toMatch(/^gpt/);
    expect(stderr).not.toMatch(/^ {4}at /m);
    expect(await readdir(app.folder)).not.toContain("never");
    expect(await readdir(run)).toEqual(before);
  });
});

test("npm run gpt -- and the reference device", () => {
  const command = ["--conditions=@x/source", "tools/bootstrap.mjs", "gpt", "--"];
  const args = [
    "train",
    "--data",
    data,
    "--out",
    at("plain"),
    "--preset",
    "tiny",
    "--steps",
    "2",
    "--batch",
    "1",
    "--context",
    "4",
    "--device",
    "reference",
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...command, ...args], { cwd: root, encoding: "utf8" });
  expect(status).toBe(0);
  expect(stdout).toBe("");
  expect(stderr).toMatch(
    /step 2\/2 .*Validation loss \d\.\d{4} at step 2\.\nSaved to .*step-00000002\. Sample with: npm run gpt -- generate --from/s,
  );
});
