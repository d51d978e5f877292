import { mkdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gatherRepositoryText } from "@x/data";
import { namedCells } from "@x/nn";
import type { Device } from "@x/tensor";
import { formatSi, progress } from "@x/train";
import { openDevice } from "./devices.ts";
import { describeNew } from "./models.ts";
import { type Preset, presets } from "./presets.ts";
import { report, trainIn } from "./run.ts";
import { sample } from "./sample.ts";
import { session } from "./session.ts";
import { loadText, newTokenizer, type TextData } from "./text.ts";

/** Seconds of training that a first look may take. */
const budget = 60;
const root = fileURLToPath(new URL("../../..", import.meta.url));
const directory = "out/quickstart";

/** `npm start`: trains a small GPT on this repository's own text for about a minute, saves it, and lets it write. Begins anew each time. */
async function quickstart(): Promise<number> {
  const device = await openDevice();
  try {
    const { text, files } = await gatherRepositoryText(root);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    const dataName = `${directory}/repository.txt`;
    await writeFile(dataName, text);
    const baby = presets.get("baby")!;
    const data = await loadText(dataName, newTokenizer(baby.tokenizer));
    const steps = await fittingSteps(baby, data, device);
    const training = { ...baby, steps, warmup: Math.min(baby.warmup, Math.ceil(steps / 10)), evaluateEvery: steps };
    const description = describeNew(training, data.tokenizer.vocabSize);
    console.log(`A small GPT reads ${files.length} files of this repository (${formatSi(text.length)} characters) for about a minute.\n`);
    const shown = progress({ total: steps });
    const result = await trainIn({ training, description, seed: 1, data, dataName, device, directory, resume: false, progress: shown });
    console.log();
    report(result, directory, console.log);
    if (result.status !== 0) return result.status;
    const blind = Math.log(data.tokenizer.vocabSize).toFixed(2);
    console.log(`(Per character; a blind guess has ${blind}.) With ${formatSi(result.model.numParameters)} parameters, it writes:\n`);
    const prompt = "export ";
    process.stdout.write(prompt);
    await sample(result.model, data.tokenizer, prompt, 400, { temperature: 0.7, seed: 1 }, (piece) => void process.stdout.write(piece));
    console.log("\n\nYour own text: npm run gpt -- train --data FILE --out out/mine");
    return 0;
  } finally {
    device.close();
  }
}

/** How many steps fit into the budget on this machine, measured on a run of its own. */
async function fittingSteps(preset: Preset, data: TextData, device: Device): Promise<number> {
  const times: number[] = [];
  let last = 0;
  const trial = session({
    training: { ...preset, steps: 12 },
    description: describeNew(preset, data.tokenizer.vocabSize),
    seed: 0,
    data: { ...data, validation: data.validation.subarray(0, 1) },
    dataName: "",
    device,
    onStep: () => {
      const now = performance.now();
      if (last > 0) times.push(now - last);
      last = now;
    },
  });
  await trial.trainer.train();
  trial.release();
  for (const cell of [...namedCells(trial.model).values(), ...trial.optimizer.states().values()]) cell.dispose();
  const typical = times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
  return Math.max(50, Math.min(preset.steps, Math.round((budget * 1000) / typical / 50) * 50));
}

process.exitCode = await quickstart();
