/** The parent: launches every competitor in turn, compares their outputs, prints the tables, and writes the results. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setDefaultDevice } from "@x/tensor";
import type { Constancy } from "./constancy.ts";
import { curveLines, curvesOf } from "./curves.ts";
import { disagreement, isOurs, type Known, measureCase } from "./measure.ts";
import { type Options, parseOptions } from "./plan.ts";
import { plotSvg } from "./plot.ts";
import { type CaseResult, machine } from "./results.ts";
import { caseTable } from "./table.ts";
import { type GPTWorkload, inputs, workloadNamed } from "./workloads.ts";

/** Whether our training step does the same work at every call, with nothing allocated: 1,000 steps after warm-up. */
async function steadiness(threads: number[], { seed, quick }: Options): Promise<Constancy> {
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
  const known: Known = new Map();
  try {
    for (const part of options.parts) {
      for (const work of part.works) {
        for (const threads of part.threads) {
          const result = await measureCase(work, { part, threads, options, folder, known });
          cases.push(result);
          console.log(options.json ? JSON.stringify(result) : caseTable(result));
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const steps = options.parts.find(({ works, against }) => works.some(({ name }) => name === "baby-step") && against.includes("ours"));
  const steady = steps && (await steadiness(steps.threads, options));
  const curves = curvesOf(cases);
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
    ...(curves.length && { curves }),
    ...(steady && { steady }),
    loadAverageAtEnd: machine().loadAverage,
  };
  const name =
    options.save ?? [options.command, ...(options.driver === "default" ? [] : [options.driver]), `node${process.versions.node}`].join("-");
  const target = new URL(`../results/${name}.json`, import.meta.url);
  mkdirSync(new URL(".", target), { recursive: true });
  writeFileSync(target, `${JSON.stringify(results, null, 1)}\n`);
  const plot = new URL(`../results/${name}.svg`, import.meta.url);
  if (curves.length) writeFileSync(plot, plotSvg(curves));
  if (!options.json) {
    if (curves.length) console.log(`\n${curveLines(curves).join("\n")}`);
    console.log(`\nwritten: ${[target, ...(curves.length ? [plot] : [])].map((file) => fileURLToPath(file)).join(" and ")}`);
  }
  for (const { work, entries, tolerance: allowed } of cases) {
    const wrong = entries.filter(isOurs).map((entry) => disagreement(entry, allowed));
    if (wrong[0]) {
      console.error(`bench: ${work.name}: we are wrong: ${wrong[0]}.`);
      process.exitCode = 1;
    }
  }
}

await main();
