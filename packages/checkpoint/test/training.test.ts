import { fork } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FileSystem, openTraining, saveTraining, type TrainingState } from "../src/index.ts";
import { localFiles } from "../src/platform.node.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(`${tmpdir()}/checkpoint-`);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const stateAt = (step: number, score?: number): TrainingState => ({
  step,
  tensors: {
    model: new Map([["w", { shape: [3], dtype: "f32", values: Float32Array.of(step, step + 0.5, -0) }]]),
    state: [["key", { shape: [2], dtype: "u32", values: () => Uint32Array.of(step, 2 ** 32 - 1) }]],
  },
  json: { position: [step, 2], device: "wasm" },
  ...(score !== undefined && { score }),
});
const steps = async () => (await readdir(directory)).filter((name) => name !== "latest" && name !== "program").sort();
const never = { warn: (message: string) => expect.fail(message) };

test("what is saved is opened, bit for bit", async () => {
  expect(await openTraining(directory, never)).toBeUndefined();
  expect(await openTraining(`${directory}/absent`, never)).toBeUndefined();
  expect(await saveTraining(directory, stateAt(12), never)).toBe(`${directory}/step-00000012`);
  const opened = (await openTraining(directory, never))!;
  expect([opened.step, opened.json]).toEqual([12, { position: [12, 2], device: "wasm" }]);
  expect(await opened.readers.model!.values("w")).toEqual(Float32Array.of(12, 12.5, -0));
  expect(await opened.readers.state!.values("key")).toEqual(Uint32Array.of(12, 2 ** 32 - 1));
  await opened.close();
});

test("the last and the best stay; a step saved again replaces itself", async () => {
  for (const [step, score] of [
    [1, 5],
    [2, 1],
    [3, 4],
    [4, 3],
    [5, 2],
  ] as const)
    await saveTraining(directory, stateAt(step, score), { keep: 2, ...never });
  expect(await steps()).toEqual(["step-00000002", "step-00000004", "step-00000005"]);
  await saveTraining(directory, stateAt(5), { keep: 2, ...never });
  expect(await steps()).toEqual(["step-00000002", "step-00000004", "step-00000005-1"]);
  // A run that went back: the newest save counts, not the highest step.
  await saveTraining(directory, stateAt(3), { keep: 2, ...never });
  const opened = (await openTraining(directory, never))!;
  expect(opened.step).toBe(3);
  await opened.close();
});

test.each(["model.safetensors", "state.safetensors", "state.json"])(
  "a damaged %s is said aloud, and the checkpoint before is taken",
  async (file) => {
    await saveTraining(directory, stateAt(1), never);
    await saveTraining(directory, stateAt(2), never);
    const path = `${directory}/step-00000002/${file}`;
    const bytes = await readFile(path);
    for (const damage of [
      (b: Buffer) => b.fill(b[b.length - 9]! ^ 1, b.length - 9, b.length - 8),
      (b: Buffer) => b.subarray(0, -1),
      () => Buffer.alloc(0),
    ]) {
      await writeFile(path, damage(Buffer.from(bytes)));
      const said: string[] = [];
      const opened = (await openTraining(directory, { warn: (message) => said.push(message) }))!;
      expect(opened.step).toBe(1);
      await opened.close();
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(/going back to .*step-00000001[\s\S]*step-00000002.*damaged/);
    }
    await rm(`${directory}/step-00000001`, { recursive: true });
    await expect(openTraining(directory, never)).rejects.toThrow(/every checkpoint is damaged/);
  },
);

/** The local files, on a disk on which call number `at` of those that write fails. */
function failing(at: number, code: string): FileSystem & { calls: number } {
  const real = localFiles();
  const counted = { calls: 0 };
  const step = () => {
    if (counted.calls++ >= at) throw Object.assign(new Error(code), { code });
  };
  const guard =
    <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A) => {
      step();
      return work(...args);
    };
  return Object.assign(counted, {
    ...real,
    rename: guard(real.rename),
    makeDirectory: guard(real.makeDirectory),
    syncDirectory: guard(real.syncDirectory),
    create: guard(async (path: string) => {
      const file = await real.create(path);
      return { write: guard(file.write), sync: guard(file.sync), close: file.close };
    }),
  });
}

test.each(["ENOSPC", "EROFS", "EACCES"])("%s at any call leaves a whole checkpoint, and says so", async (code) => {
  const whole = failing(Number.POSITIVE_INFINITY, code);
  await saveTraining(directory, stateAt(1), { files: whole, ...never });
  for (let at = 0; at < whole.calls; at++) {
    const warned: string[] = [];
    const outcome = await saveTraining(directory, stateAt(100 + at), {
      keep: 100,
      files: failing(at, code),
      warn: (m) => warned.push(m),
    }).catch((error: Error) => error.message);
    if (warned.length === 0 || !outcome.endsWith(`step-${String(100 + at).padStart(8, "0")}`)) {
      expect(outcome).toMatch(new RegExp(`step ${100 + at} was not saved: while .*\\(${code}\\)`));
      if (at > 0) expect(outcome).toMatch(/previous checkpoint, .*, is intact/);
    }
    const opened = (await openTraining(directory, { warn: () => undefined }))!;
    expect([1, ...Array.from({ length: at + 1 }, (_, i) => 100 + i)]).toContain(opened.step);
    expect(await opened.readers.model!.values("w")).toEqual(Float32Array.of(opened.step, opened.step + 0.5, -0));
    await opened.close();
  }
});

/** The saving program as one file of JavaScript, so that a child process starts at once on any Node. */
async function bundle(): Promise<string> {
  const outDir = `${directory}/program`;
  const conditions = ["@x/source"];
  await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions },
    ssr: { noExternal: true, resolve: { conditions, externalConditions: conditions } },
    build: {
      ssr: fileURLToPath(new URL("save-forever.ts", import.meta.url)),
      outDir,
      rollupOptions: { output: { entryFileNames: "save.mjs" } },
    },
  });
  return `${outDir}/save.mjs`;
}

test("a kill at any moment leaves a whole checkpoint, and the next save tidies up", async () => {
  await saveTraining(directory, stateAt(0), never);
  const program = await bundle();
  let last = 0;
  for (const delay of [0, 3, 7, 12, 20]) {
    const child = fork(program, [directory, String(last + 1)], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => reject(new Error(`the saving process ended by itself with ${code}`)));
    });
    await new Promise((resolve) => setTimeout(resolve, delay));
    const exit = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exit;
    const opened = (await openTraining(directory, never))!;
    expect(opened.step).toBeGreaterThanOrEqual(last);
    last = opened.step;
    expect((await opened.readers.model!.values("w"))[0]).toBe(last);
    await opened.close();
  }
  expect(last).toBeGreaterThan(0);
  await saveTraining(directory, stateAt(last + 1), { keep: 1, ...never });
  // A kill between the rename and the pointer leaves a whole save of a later step: that step saved again has a suffix.
  const left = await steps();
  expect(left).toHaveLength(1);
  expect(left[0]).toMatch(new RegExp(`^step-0*${last + 1}(-1)?$`));
});

test("state that JSON would change is refused", async () => {
  for (const json of [{ loss: Number.NaN }, { a: [undefined] }, { a: -0 }, { when: new Date(0) }, { a: new Float32Array(1) }])
    await expect(saveTraining(directory, { ...stateAt(1), json: json as never })).rejects.toThrow(/json\.\w+(\[0\])? cannot be kept/);
});
