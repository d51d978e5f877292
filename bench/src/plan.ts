import { parseArgs } from "node:util";
import { seriesOf } from "./attention-works.ts";
import { competitorModules } from "./competitor.ts";
import { type CommandName, commands, drivers, type Group, type GroupName, groups } from "./groups.ts";
import { type Workload, workloadNamed } from "./workloads.ts";

/** What is chosen of a group. */
export interface Part {
  name: GroupName;
  works: Workload[];
  against: string[];
  threads: number[];
}

/** What the command line asks for. */
export interface Options {
  command: CommandName;
  parts: Part[];
  driver: string;
  launches: number;
  quick: boolean;
  warmMs: number;
  budgetMs: number;
  /** The most milliseconds that an iteration of a series may be expected to take. */
  limitMs: number;
  seed: number;
  /** One line of JSON for each workload instead of a table. */
  json: boolean;
  save: string | undefined;
}

export function parseOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { type: "string" },
      against: { type: "string" },
      threads: { type: "string" },
      lengths: { type: "string" },
      limit: { type: "string" },
      driver: { type: "string", default: "default" },
      gpu: { type: "boolean", default: false },
      launches: { type: "string" },
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      save: { type: "string" },
      seed: { type: "string", default: "1" },
    },
  });
  const command = commandName(positionals);
  if (!drivers.includes(values.driver)) throw new Error(`bench: --driver ${values.driver} is none of ${drivers.join(", ")}.`);
  return {
    command,
    parts: chosenParts(command, values),
    driver: values.driver,
    launches: count("launches", values.launches ?? (values.quick ? "1" : "3")),
    quick: values.quick,
    json: values.json,
    warmMs: values.quick ? 200 : 500,
    budgetMs: values.quick ? 500 : 2000,
    limitMs: 1000 * count("limit", values.limit ?? (values.quick ? "5" : "20")),
    seed: count("seed", values.seed),
    save: values.save,
  };
}

interface Chosen {
  only?: string | undefined;
  against?: string | undefined;
  threads?: string | undefined;
  lengths?: string | undefined;
  gpu: boolean;
}

/** Of each group what was asked for, where there is any. */
function chosenParts(command: CommandName, { only, against, threads, lengths, gpu }: Chosen): Part[] {
  const all = commands[command].map((name) => ({ name, group: groups[name] as Group }));
  const parts = all.map(({ name, group }) => ({
    name,
    works: ofLengths(chosenWorks([...group.works, ...((gpu && group.gpuWorks) || [])], only), lengths),
    against: chosenCompetitors([...group.competitors, ...((gpu && group.gpuCompetitors) || [])], against),
    threads: group.threads ? (threads ?? group.threads).split(",").map((text) => count("threads", text)) : [1],
  }));
  const names = (of: (group: Group) => readonly string[]) => [...new Set(all.flatMap(({ group }) => of(group)))].join(", ");
  if (!parts.some(({ works }) => works.length)) {
    const asked = Object.entries({ only, lengths }).flatMap(([name, value]) => (value ? [`--${name} ${value}`] : []));
    throw new Error(`bench: ${asked.join(" ")} matches none of ${names(({ works }) => works)}.`);
  }
  const chosen = parts.filter((part) => part.works.length && part.against.length);
  if (!chosen.length) throw new Error(`bench: --against ${against} is none of ${names(({ competitors }) => competitors)}.`);
  return chosen;
}

function commandName([name = "cpu", ...extra]: string[]): CommandName {
  if (Object.hasOwn(commands, name) && !extra.length) return name as CommandName;
  throw new Error(`bench: expected one group of ${Object.keys(commands).join(", ")}, received "${[name, ...extra].join(" ")}".`);
}

/** The workloads named exactly, or else those whose names contain a part. */
function chosenWorks(names: string[], only: string | undefined): Workload[] {
  const parts = only?.split(",") ?? [""];
  const chosen = new Set(parts.flatMap((part) => (names.includes(part) ? [part] : names.filter((name) => name.includes(part)))));
  return names.filter((name) => chosen.has(name)).map(workloadNamed);
}

/** Of works that differ by length, those of these lengths; all others. */
function ofLengths(works: Workload[], lengths: string | undefined): Workload[] {
  const asked = lengths?.split(",").map((text) => count("lengths", text));
  return works.filter((work) => !asked || seriesOf(work) === undefined || ("tokens" in work && asked.includes(work.tokens)));
}

function chosenCompetitors(names: string[], against: string | undefined): string[] {
  const parts = against?.split(",");
  const unknown = parts?.filter((part) => !(part.split("/")[0]! in competitorModules)) ?? [];
  if (unknown.length) throw new Error(`bench: --against ${unknown.join(",")} is none of ${names.join(", ")}.`);
  return names.filter((name) => !parts || parts.some((part) => name === part || name.startsWith(`${part}/`)));
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`bench: --${name} expects a whole number from 1, received "${text}".`);
  return value;
}
