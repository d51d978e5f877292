/** A run that is killed again and again ends where one that was left alone ends, bit for bit. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTraining } from "@x/checkpoint";
import { philox } from "@x/tensor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type App, bundledApp, records } from "./app.ts";

let app: App;
let data = "";
beforeAll(async () => {
  app = await bundledApp();
  data = join(app.folder, "text.txt");
  await writeFile(data, Array.from({ length: 900 }, (_, i) => `line ${(i * i) % 97} of a text\n`).join(""));
});
afterAll(() => app.remove());

const hook = ["--import", fileURLToPath(new URL("kill-at.mjs", import.meta.url))];
const options = [
  "--preset",
  "tiny",
  "--dropout",
  "0.1",
  "--accumulate",
  "2",
  "--threads",
  "1",
  "--evaluate-every",
  "9",
  "--save-every",
  "2",
  "--json",
];
const train = (out: string, ...more: string[]) => ["train", "--data", data, "--out", out, "--steps", "60", ...options, ...more];

/** Weights, moments, streams, data position, byte for byte, and the losses in the order of the steps. */
async function outcome(out: string) {
  const opened = await openTraining(out);
  await opened!.close();
  const bytes = await Promise.all(["model", "state"].map((name) => readFile(`${opened!.path}/${name}.safetensors`, "base64")));
  const lines = (await readFile(`${out}/metrics.jsonl`, "utf8")).trimEnd().split("\n");
  const metrics = lines.map((line) => ({ ...JSON.parse(line), tokensPerSecond: 0 }));
  return { bytes, step: opened!.step, json: opened!.json, metrics };
}

test("kill -9 at 20 seeded moments, half of them inside a save, and resumed: the same bits as without", async () => {
  const [whole, killed] = [join(app.folder, "whole"), join(app.folder, "killed")];
  const uninterrupted = await app.run(train(whole));
  expect(uninterrupted).toMatchObject({ status: 0, stderr: "" });

  let insideSaves = 0;
  for (let i = 0; i < 20; i++) {
    const [draw, other] = philox([i, 0, 0, 0], 20, 26);
    if (i % 2 === 0) {
      // A save of this size is about 25 operations on files: anywhere in the first that this process makes.
      const run = await app.run(train(killed, "--resume"), { node: hook, env: { KILL_AT: String(1 + (draw % 240)) } });
      expect(run.signal).toBe("SIGKILL");
      if ((await readdir(killed)).some((name) => name.startsWith(".unfinished-"))) insideSaves++;
    } else {
      const run = app.start(train(killed, "--resume"));
      await run.printed('"tokensPerSecond"');
      await new Promise((done) => setTimeout(done, other % 30));
      run.child.kill("SIGKILL");
      expect((await run.ended).signal).toBe("SIGKILL");
    }
  }
  expect(insideSaves).toBeGreaterThanOrEqual(5);
  const last = await app.run(train(killed, "--resume"));
  expect(last.status).toBe(0);
  expect(await outcome(killed)).toEqual(await outcome(whole));
  expect(records(last.stdout).at(-1)).toEqual(records(uninterrupted.stdout).at(-1));
}, 180_000);
