import { parseArgs } from "node:util";
import { competitorModules } from "./competitor.ts";
import { type Workload, workloads } from "./workloads.ts";

/** What the command line asks for. */
export interface Options {
  group: "cpu";
  works: Workload[];
  against: string[];
  threads: number[];
  launches: number;
  quick: boolean;
  warmMs: number;
  budgetMs: number;
  seed: number;
  save: string | undefined;
}

/** Every competitor in the order of the tables; the first is ours. */
export const competitors = [
  ...["ours", "ceiling/native", "ceiling/wasm", "ort-web", "ort-web/b-input", "ort-web/kernel", "tfjs", "jax-js"],
  ...["ort-node", "ort-node/b-input", "ort-node/kernel", "torch"],
];

/** The peers that run WebAssembly, the class of our own portable kernels. */
export const wasmPeers = ["ort-web", "ort-web/b-input", "tfjs", "jax-js"];
/** The same where the copies of a call are left out; tfjs and jax-js make none. */
export const wasmKernels = ["ort-web/kernel", "tfjs", "jax-js"];

export function parseOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { type: "string" },
      against: { type: "string" },
      threads: { type: "string", default: "1,2" },
      launches: { type: "string" },
      quick: { type: "boolean", default: false },
      save: { type: "string" },
      seed: { type: "string", default: "1" },
    },
  });
  const [group = "cpu", ...extra] = positionals;
  if (group !== "cpu" || extra.length) throw new Error(`bench: expected the group "cpu", received "${positionals.join(" ")}".`);
  const only = values.only?.split(",");
  const works = workloads.filter(({ name }) => !only || only.some((part) => name.includes(part)));
  if (!works.length) throw new Error(`bench: --only ${values.only} matches none of ${workloads.map(({ name }) => name).join(", ")}.`);
  const against = values.against?.split(",");
  const unknown = against?.filter((name) => !(name.split("/")[0]! in competitorModules)) ?? [];
  if (unknown.length) throw new Error(`bench: --against ${unknown.join(",")} is none of ${competitors.join(", ")}.`);
  return {
    group,
    works,
    against: competitors.filter((name) => !against || against.some((each) => name === each || name.startsWith(`${each}/`))),
    threads: values.threads.split(",").map((text) => count("threads", text)),
    launches: count("launches", values.launches ?? (values.quick ? "1" : "3")),
    quick: values.quick,
    warmMs: values.quick ? 200 : 500,
    budgetMs: values.quick ? 500 : 2000,
    seed: count("seed", values.seed),
    save: values.save,
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`bench: --${name} expects a whole number from 1, received "${text}".`);
  return value;
}
