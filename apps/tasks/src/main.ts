import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { wasm } from "@x/kernels-wasm";
import { setDefaultDevice, TensorError } from "@x/tensor";
import { cache } from "./cache.ts";
import { extrapolation } from "./extrapolation.ts";
import { stability } from "./stability.ts";
import { markdown, type Row, worst } from "./table.ts";
import type { Task } from "./task.ts";
import { openText } from "./text.ts";

const tasks: readonly Task[] = [extrapolation, stability, cache];
const usage = `Signature tasks: what papers claim, measured on small models; of each number the worst of the seeds.

  tasks [${tasks.map(({ name }) => name).join("|")} ...] [--data FILE] [--seeds 1,2,3] [--effort 1] [--only TEXT] [--threads N] [--save FILE]

--data is a text (this repository's own if absent), --effort scales the steps of training, --only takes the rows whose name has the text, --save writes a Markdown file.`;

const options = {
  data: { type: "string" },
  seeds: { type: "string", default: "1,2,3" },
  effort: { type: "string", default: "1" },
  only: { type: "string", default: "" },
  threads: { type: "string" },
  save: { type: "string" },
  help: { type: "boolean" },
} as const satisfies ParseArgsConfig["options"];

/** Runs the tasks that are named, all if none is, and returns the exit status. */
export async function main(args: readonly string[], print: (line: string) => void = console.log): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (values.help) {
    print(usage);
    return 0;
  }
  const chosen = positionals.length === 0 ? tasks : positionals.map(named);
  const seeds = values.seeds.split(",").map((seed) => whole("seeds", seed));
  const effort = Number(values.effort);
  if (!(effort > 0)) throw new TensorError(`--effort: expected a number above 0, got "${values.effort}".`);
  const text = await openText(values.data);
  const device = await wasm(values.threads === undefined ? {} : { threads: whole("threads", values.threads) });
  setDefaultDevice(device);
  const sections: string[] = [];
  try {
    for (const task of chosen) {
      const rows: Row[] = [];
      for (const variant of task.variants.filter(({ name }) => name.includes(values.only))) {
        const runs: Row["values"][] = [];
        for (const seed of seeds) runs.push(await variant.measure({ text, device, seed, effort }));
        rows.push({ name: variant.name, values: worst(runs) });
        print(`${task.name}: ${variant.name}: ${JSON.stringify(rows.at(-1)!.values)}`);
      }
      sections.push(`## ${task.name}\n\n${task.question}\n\n${markdown(task.rows, rows)}\n`);
      print(`\n${sections.at(-1)}`);
    }
  } finally {
    device.close();
  }
  if (values.save !== undefined) {
    await mkdir(dirname(values.save), { recursive: true });
    await writeFile(
      values.save,
      `# Signature tasks\n\nMade by \`npm run tasks -- ${args.join(" ")}\`; of each number the worst of seeds ${seeds.join(", ")}.\n\n${sections.join("\n")}`,
    );
  }
  return 0;
}

function named(name: string): Task {
  const task = tasks.find((each) => each.name === name);
  if (!task) throw new TensorError(`There is no task "${name}"; there are ${tasks.map((each) => each.name).join(", ")}.`);
  return task;
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new TensorError(`--${name}: expected whole numbers from 1 on, got "${text}".`);
  return value;
}
