import { parseArgs } from "node:util";
import { competitorModules } from "./competitor.ts";
import { drivers, type Group, type GroupName, groups } from "./groups.ts";
import { type Workload, workloadNamed } from "./workloads.ts";

/** What the command line asks for. */
export interface Options {
  group: GroupName;
  works: Workload[];
  against: string[];
  threads: number[];
  driver: string;
  launches: number;
  quick: boolean;
  warmMs: number;
  budgetMs: number;
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
      driver: { type: "string", default: "default" },
      gpu: { type: "boolean", default: false },
      launches: { type: "string" },
      json: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      save: { type: "string" },
      seed: { type: "string", default: "1" },
    },
  });
  const name = groupName(positionals);
  const group: Group = groups[name];
  if (!drivers.includes(values.driver)) throw new Error(`bench: --driver ${values.driver} is none of ${drivers.join(", ")}.`);
  return {
    group: name,
    works: chosenWorks([...group.works, ...((values.gpu && group.gpuWorks) || [])], values.only),
    against: chosenCompetitors([...group.competitors, ...((values.gpu && group.gpuCompetitors) || [])], values.against),
    threads: (values.threads ?? group.threads).split(",").map((text) => count("threads", text)),
    driver: values.driver,
    launches: count("launches", values.launches ?? (values.quick ? "1" : "3")),
    quick: values.quick,
    json: values.json,
    warmMs: values.quick ? 200 : 500,
    budgetMs: values.quick ? 500 : 2000,
    seed: count("seed", values.seed),
    save: values.save,
  };
}

function groupName([name = "cpu", ...extra]: string[]): GroupName {
  if (Object.hasOwn(groups, name) && !extra.length) return name as GroupName;
  throw new Error(`bench: expected one group of ${Object.keys(groups).join(", ")}, received "${[name, ...extra].join(" ")}".`);
}

/** The workloads named exactly, or else those whose names contain a part. */
function chosenWorks(names: string[], only: string | undefined): Workload[] {
  const parts = only?.split(",") ?? [""];
  const chosen = new Set(parts.flatMap((part) => (names.includes(part) ? [part] : names.filter((name) => name.includes(part)))));
  if (!chosen.size) throw new Error(`bench: --only ${only} matches none of ${names.join(", ")}.`);
  return names.filter((name) => chosen.has(name)).map(workloadNamed);
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
