/** The measured process: one competitor, one workload, one number of threads. Prints JSON lines for the parent. */
import { writeFileSync } from "node:fs";
import { type Competitor, competitorModules } from "./competitor.ts";
import { check } from "./reference.ts";
import { inputs, workloadNamed } from "./workloads.ts";

/** What the parent asks for. The output goes to `outputFile` as raw f32. */
export interface ChildRequest {
  work: string;
  competitor: string;
  threads: number;
  seed: number;
  warmMs: number;
  budgetMs: number;
  outputFile: string;
}

export type ChildLine =
  | { type: "unsupported" }
  | { type: "ready"; version: string; threads: number; check?: { maxAbs: number; rows: number } }
  | { type: "sample"; ms: number };

function print(line: ChildLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main(request: ChildRequest): Promise<void> {
  const work = workloadNamed(request.work);
  const [module = "", variant] = request.competitor.split("/");
  const path = competitorModules[module];
  if (!path) throw new Error(`bench: no competitor "${request.competitor}".`);
  const loaded = (await import(new URL(path, import.meta.url).href)) as { competitor(variant?: string): Competitor };
  const competitor = loaded.competitor(variant);
  const given = inputs(work, request.seed);
  const prepared = await competitor.prepare({ work, inputs: given, threads: request.threads, seed: request.seed });
  if (!prepared) return print({ type: "unsupported" });

  const output = await prepared.output?.();
  if (output) writeFileSync(request.outputFile, output);
  const checked = output && check(work, given, output);
  print({
    type: "ready",
    version: await competitor.version(),
    threads: prepared.threads ?? request.threads,
    ...(checked && { check: checked }),
  });

  const warmEnd = performance.now() + request.warmMs;
  for (let i = 0; i < 3 || (performance.now() < warmEnd && i < 1000); i++) await prepared.sample();
  const end = performance.now() + request.budgetMs;
  for (let i = 0; i < 3 || (performance.now() < end && i < 2000); i++) print({ type: "sample", ms: await prepared.sample() });
  await prepared.close?.();
}

await main(JSON.parse(process.argv[2] ?? "{}") as ChildRequest);
process.exit(0);
