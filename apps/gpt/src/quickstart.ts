import { fileURLToPath } from "node:url";
import type { Json } from "@x/checkpoint";
import { gatherRepositoryText } from "@x/data";
import { formatSi, lossCurve, paint, progress } from "@x/train";
import { openDevice } from "./devices.ts";
import { sample } from "./generate.ts";
import { presets } from "./presets.ts";
import { configOf, session } from "./session.ts";
import { prepareText } from "./text.ts";

/** Seconds of training that a first look may take. */
const budget = 60;
const root = fileURLToPath(new URL("../../..", import.meta.url));
const directory = "out/quickstart";

/** `npm start`: trains a small GPT on this repository's own text for about a minute, saves it, and lets it write. */
async function quickstart(): Promise<void> {
  const device = await openDevice("wasm");
  const { text, files } = await gatherRepositoryText(root);
  const preset = presets.baby!;
  const data = prepareText(text, { kind: "characters" });
  const seed = 1;
  const describe = (steps: number) => ({
    config: configOf(preset, data.tokenizer) as unknown as Json,
    tokenizer: data.tokenizer.toJSON() as unknown as Json,
    preset: { ...preset, steps } as unknown as Json,
    seed,
    data: "this repository",
  });
  const steps = await fittingSteps(preset, data, device);
  const shown = progress({ total: steps });
  const run = session({
    preset: { ...preset, steps, warmup: Math.min(preset.warmup, Math.ceil(steps / 10)), evaluateEvery: steps },
    seed,
    data,
    device,
    directory,
    description: describe(steps),
    progress: shown,
  });
  console.log(
    `A GPT of ${formatSi(run.model.numParameters)} parameters reads ${files.length} files of this repository (${formatSi(text.length)} characters), ${steps} steps, about a minute.\n`,
  );
  const result = await run.trainer.train();
  console.log(`\n${lossCurve(result.losses)}\n`);
  console.log(
    `Validation loss ${result.valLoss?.toFixed(3)} per character; a blind guess is ${Math.log(data.tokenizer.vocabSize).toFixed(3)}.`,
  );
  console.log(`Saved to ${result.checkpoint}. It writes:\n`);
  const prompt = "export ";
  process.stdout.write(prompt);
  await sample(run.model, data.tokenizer, prompt, 400, { temperature: 0.7, seed: 1 }, (piece) => void process.stdout.write(piece));
  console.log(
    `\n\nMore: npm run gpt -- generate --from ${directory} --prompt "import " --tokens 300\n      npm run gpt -- train --data FILE --preset baby --out out/mine`,
  );
  void paint;
  device.close();
}

/** How many steps fit into the budget on this machine, measured on a run of its own. */
async function fittingSteps(
  preset: (typeof presets)[string],
  data: ReturnType<typeof prepareText>,
  device: Awaited<ReturnType<typeof openDevice>>,
): Promise<number> {
  const times: number[] = [];
  let last = 0;
  const trial = session({
    preset: { ...preset, steps: 12, evaluateEvery: 1000 },
    seed: 0,
    data: { ...data, validation: data.validation.subarray(0, 1) as typeof data.validation },
    device,
    description: {},
    onStep: () => {
      const now = performance.now();
      if (last > 0) times.push(now - last);
      last = now;
    },
  });
  await trial.trainer.train();
  trial.step.release();
  const typical = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 100;
  return Math.max(50, Math.min(2000, Math.round((budget * 1000) / typical / 50) * 50));
}

await quickstart();
