/** The parent: launches every competitor in turn, compares their outputs, prints the tables, and writes the results. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setDefaultDevice } from "@x/tensor";
import type { Constancy } from "./constancy.ts";
import { driverEnvironment, groups } from "./groups.ts";
import { type Launch, launch } from "./launch.ts";
import { type Options, parseOptions } from "./plan.ts";
import { maxDifference } from "./reference.ts";
import { type CaseResult, type Entry, machine, ratios, summarise } from "./results.ts";
import { caseTable } from "./table.ts";
import { type GPTWorkload, inputs, tolerance, type Workload, workloadNamed } from "./workloads.ts";

async function measureCase(work: Workload, threads: number, options: Options, folder: string): Promise<CaseResult> {
  const launches = new Map<string, Launch[]>(options.against.map((name) => [name, []]));
  const absent: Record<string, string> = {};
  const outputFile = (name: string) => join(folder, `${work.name}-${threads}-${name.replace("/", "-")}.f32`);
  for (let round = 0; round < options.launches; round++) {
    for (const competitor of options.against) {
      if (competitor in absent) continue;
      const { warmMs, budgetMs, seed } = options;
      const request = { work: work.name, competitor, threads, seed, warmMs, budgetMs, outputFile: outputFile(competitor) };
      const result = await launch(request, driverEnvironment(options.driver));
      if (result.unsupported) absent[competitor] = "does not do this work";
      else if (result.error) absent[competitor] = result.error;
      else launches.get(competitor)!.push(result);
    }
  }
  const all = options.against.filter((name) => !(name in absent)).map((name) => summarise(name, work, launches.get(name)!));
  compareOutputs(all, work, outputFile);
  for (const entry of all) {
    const wrong = disagreement(entry, tolerance(work));
    if (wrong && !isOurs(entry)) absent[entry.competitor] = `computes something else: ${wrong}`;
  }
  const entries = all.filter(({ competitor }) => !(competitor in absent));
  for (const name of Object.keys(absent)) if (absent[name] === "does not do this work") delete absent[name];
  return { work, threads, tolerance: tolerance(work), entries, absent, ratios: ratios(entries, groups[options.group]) };
}

/** Compares every output with that of the first peer; fills in the differences and the losses. */
function compareOutputs(entries: Entry[], work: Workload, outputFile: (name: string) => string): void {
  const outputs = entries.filter(({ competitor }) => existsSync(outputFile(competitor)));
  const read = (entry: Entry) => new Float32Array(new Uint8Array(readFileSync(outputFile(entry.competitor))).buffer);
  const base = outputs.find((entry) => !isOurs(entry));
  if (!base) return;
  const expected = read(base);
  for (const entry of outputs) {
    const output = read(entry);
    if (work.kind === "gpt") entry.losses = [...output];
    if (entry === base) continue;
    entry.comparedWith = base.competitor;
    entry.maxAbsFromOther = maxDifference(output, expected);
  }
}

const isOurs = ({ competitor }: Entry) => competitor.split("/")[0] === "ours";

/** Says how far an output is from what it should be, where that is too far. */
function disagreement({ maxAbsFromF64, maxAbsFromOther, comparedWith }: Entry, allowed: number): string | undefined {
  const worst = maxAbsFromF64 ?? maxAbsFromOther ?? 0;
  if (worst <= allowed) return undefined;
  return `its output differs from ${maxAbsFromF64 === undefined ? comparedWith : "f64"} by ${worst}, allowed ${allowed}`;
}

/** Whether our training step does the same work at every call, with nothing allocated: 1,000 steps after warm-up. */
async function steadiness({ threads, seed, quick }: Options): Promise<Constancy> {
  const work = workloadNamed("baby-step") as GPTWorkload;
  const [{ wasm }, { gptConstancy }] = await Promise.all([import("@x/kernels-wasm"), import("./ours-gpt.ts")]);
  const device = await wasm({ threads: Math.max(...threads) });
  setDefaultDevice(device);
  const result = await gptConstancy({ work, inputs: inputs(work, seed), seed, device }, quick ? 50 : 1000);
  device.close();
  const { steps, first, changed } = result;
  const words = changed ? `CHANGED at step ${changed.step}: ${JSON.stringify(changed.counters)}` : "the same at each";
  console.log(`baby-step, ${steps} steps after warm-up: ${JSON.stringify(first)} a step, ${words}`);
  if (changed) process.exitCode = 1;
  return result;
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const started = { machine: machine(), date: new Date().toISOString() };
  const cases: CaseResult[] = [];
  try {
    for (const work of options.works) {
      for (const threads of options.threads) {
        const result = await measureCase(work, threads, options, folder);
        cases.push(result);
        console.log(options.json ? JSON.stringify(result) : caseTable(result));
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const steady =
    options.works.some(({ name }) => name === "baby-step") && options.against.includes("ours") ? await steadiness(options) : undefined;
  const command = ["pnpm bench", ...process.argv.slice(2)].join(" ");
  const { seed, launches, warmMs, budgetMs } = options;
  const results = {
    ...started,
    command,
    seed,
    launches,
    warmMs,
    budgetMs,
    cases,
    ...(steady && { steady }),
    loadAverageAtEnd: machine().loadAverage,
  };
  const name =
    options.save ?? [options.group, ...(options.driver === "default" ? [] : [options.driver]), `node${process.versions.node}`].join("-");
  const target = new URL(`../results/${name}.json`, import.meta.url);
  mkdirSync(new URL(".", target), { recursive: true });
  writeFileSync(target, `${JSON.stringify(results, null, 1)}\n`);
  if (!options.json) console.log(`\nwritten: ${fileURLToPath(target)}`);
  for (const { work, entries, tolerance: allowed } of cases) {
    const wrong = entries.filter(isOurs).map((entry) => disagreement(entry, allowed));
    if (wrong[0]) {
      console.error(`bench: ${work.name}: we are wrong: ${wrong[0]}.`);
      process.exitCode = 1;
    }
  }
}

await main();
