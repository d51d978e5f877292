/** One workload, all competitors: launched in turn, their outputs compared. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { growth, scoresBytes, seriesOf } from "./attention-works.ts";
import { driverEnvironment, type Group, groups, mostScoresBytes } from "./groups.ts";
import { type Launch, launch } from "./launch.ts";
import type { Options, Part } from "./plan.ts";
import { maxDifference } from "./reference.ts";
import { type CaseResult, type Entry, ratios, summarise } from "./results.ts";
import { tolerance, type Workload } from "./workloads.ts";

/** How long an iteration took at the longest length of a series so far, by competitor and threads. */
export type Known = Map<string, { tokens: number; ms: number }>;

interface Setting {
  part: Part;
  threads: number;
  options: Options;
  /** For outputs. */
  folder: string;
  known: Known;
}

export async function measureCase(work: Workload, { part, threads, options, folder, known }: Setting): Promise<CaseResult> {
  const launches = new Map<string, Launch[]>(part.against.map((name) => [name, []]));
  const absent: Record<string, string> = {};
  const group: Group = groups[part.name];
  const outputFile = (name: string) => join(folder, `${work.name}-${threads}-${name.replace("/", "-")}.f32`);
  for (const competitor of part.against) {
    const why = leftOut(work, competitor, group, known.get(nameOf(work, competitor, threads)), options.limitMs);
    if (why) absent[competitor] = why;
  }
  for (let round = 0; round < options.launches; round++) {
    for (const competitor of part.against) {
      if (competitor in absent) continue;
      const { warmMs, budgetMs, seed } = options;
      const request = { work: work.name, competitor, threads, seed, warmMs, budgetMs, outputFile: outputFile(competitor) };
      const result = await launch(request, driverEnvironment(options.driver));
      if (result.unsupported) absent[competitor] = "does not do this work";
      else if (result.error) absent[competitor] = result.error;
      else launches.get(competitor)!.push(result);
    }
  }
  const all = part.against.filter((name) => !(name in absent)).map((name) => summarise(name, work, launches.get(name)!));
  compareOutputs(all, work, outputFile);
  for (const entry of all) {
    const wrong = disagreement(entry, tolerance(work));
    if (wrong && !isOurs(entry)) absent[entry.competitor] = `computes something else: ${wrong}`;
    if ("tokens" in work) known.set(nameOf(work, entry.competitor, threads), { tokens: work.tokens, ms: entry.median });
  }
  const entries = all.filter(({ competitor }) => !(competitor in absent));
  for (const name of Object.keys(absent)) if (absent[name] === "does not do this work") delete absent[name];
  return { group: part.name, work, threads, tolerance: tolerance(work), entries, absent, ratios: ratios(entries, group) };
}

const nameOf = (work: Workload, competitor: string, threads: number) => `${competitor} ${threads} ${seriesOf(work) ?? work.name}`;

/** Why a competitor does not take part at a length: too much to hold, or too long by its time at a shorter one. */
export function leftOut(
  work: Workload,
  competitor: string,
  { holdScores = [] }: Pick<Group, "holdScores">,
  shorter: { tokens: number; ms: number } | undefined,
  limitMs: number,
): string | undefined {
  if (work.kind === "attention" && holdScores.includes(competitor) && scoresBytes(work) > mostScoresBytes)
    return `left out: it holds all scores${work.training ? " and their gradients" : ""}, ${scoresBytes(work) / 2 ** 30} GiB`;
  if (!shorter || seriesOf(work) === undefined || !("tokens" in work)) return undefined;
  const expected = shorter.ms * (work.tokens / shorter.tokens) ** growth(work);
  if (expected <= limitMs) return undefined;
  const seconds = (expected / 1000).toFixed(expected < 10_000 ? 1 : 0);
  return `left out: an iteration would take ${seconds} s, by its time at ${shorter.tokens} tokens; --limit is ${limitMs / 1000} s`;
}

/** Compares every output with that of the first peer, or of our last form without one; fills in the differences and the losses. */
function compareOutputs(entries: Entry[], work: Workload, outputFile: (name: string) => string): void {
  const outputs = entries.filter(({ competitor }) => existsSync(outputFile(competitor)));
  const read = (entry: Entry) => new Float32Array(new Uint8Array(readFileSync(outputFile(entry.competitor))).buffer);
  const base = outputs.find((entry) => !isOurs(entry)) ?? outputs.at(-1);
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

export const isOurs = ({ competitor }: Entry) => competitor.split("/")[0] === "ours";

/** Says how far an output is from what it should be, where that is too far. */
export function disagreement({ maxAbsFromF64, maxAbsFromOther, comparedWith }: Entry, allowed: number): string | undefined {
  const worst = maxAbsFromF64 ?? maxAbsFromOther ?? 0;
  if (worst <= allowed) return undefined;
  return `its output differs from ${maxAbsFromF64 === undefined ? comparedWith : "f64"} by ${worst}, allowed ${allowed}`;
}
