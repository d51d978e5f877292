/** The measured process: one competitor, one workload, one number of threads. Prints JSON lines for the parent. */
import { writeFileSync } from "node:fs";
import { type Competitor, competitorModules, type Demands } from "./competitor.ts";
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
  | { type: "ready"; version: string; threads: number; adapter?: string; check?: { maxAbs: number; rows: number } }
  | { type: "sample"; ms: number }
  | { type: "figures"; demands?: Demands; peakBytes?: number; processBytes: number };

function print(line: ChildLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Runs for `budgetMs`, at least three times and at most `most`; work so long that three take ten times the budget runs fewer. */
async function repeated(budgetMs: number, most: number, run: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  const within = (ms: number) => performance.now() < start + ms;
  for (let i = 0; i < most && (within(budgetMs) || (i < 3 && (i === 0 || within(10 * budgetMs)))); i++) await run();
}

async function main(request: ChildRequest): Promise<void> {
  const work = workloadNamed(request.work);
  const [module = "", variant] = request.competitor.split("/");
  const path = competitorModules[module];
  if (!path) throw new Error(`bench: no competitor "${request.competitor}".`);
  const loaded = (await import(new URL(path, import.meta.url).href)) as { competitor(variant?: string): Competitor | Promise<Competitor> };
  const competitor = await loaded.competitor(variant);
  const given = inputs(work, request.seed);
  const prepared = await competitor.prepare({ work, inputs: given, threads: request.threads, seed: request.seed });
  if (!prepared) return print({ type: "unsupported" });

  const start = performance.now();
  const output = await prepared.output?.();
  const longRun = performance.now() - start > 10 * request.warmMs; // it was warm-up enough
  if (output) writeFileSync(request.outputFile, output);
  const checked = output && check(work, given, output);
  print({
    type: "ready",
    version: await competitor.version(),
    threads: prepared.threads ?? request.threads,
    ...(prepared.adapter && { adapter: prepared.adapter }),
    ...(checked && { check: checked }),
  });

  if (!longRun) await repeated(request.warmMs, 1000, prepared.sample);
  await repeated(request.budgetMs, 2000, async () => print({ type: "sample", ms: await prepared.sample() }));
  const [demands, peakBytes] = [await prepared.demands?.(), await prepared.peakBytes?.()];
  const processBytes = process.resourceUsage().maxRSS * 1024;
  print({ type: "figures", processBytes, ...(demands && { demands }), ...(peakBytes && { peakBytes }) });
  await prepared.close?.();
}

await main(JSON.parse(process.argv[2] ?? "{}") as ChildRequest);
process.exit(0);
