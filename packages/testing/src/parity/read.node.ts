import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { assemble, assembleModule, type ParityDirectory, type ParityModule, type ParityReader, parseConfig, readAll } from "./format.ts";

/** Opens a safetensors file; `(path) => openSafetensors(fileSource(path))` of `@x/checkpoint` does. */
export type OpenTensors = (path: string) => Promise<ParityReader>;

/** Reads a parity directory (see `shared/parity-example/README.md` for the format); the checkpoint itself is left to the model. */
export async function readParity(directory: string, open: OpenTensors): Promise<ParityDirectory> {
  const json = async (name: string) => parseConfig(await readFile(join(directory, name), "utf8"), join(directory, name));
  const spec = await json("parity.json");
  const tensors = await readAll(await open(join(directory, "parity.safetensors")));
  const names = await readdir(directory);
  const generationConfig = names.includes("generation_config.json") ? await json("generation_config.json") : undefined;
  return { ...assemble(directory, spec, tensors), config: await json("config.json"), generationConfig };
}

/** Reads every module of a directory of single modules (`layers/`). */
export async function readParityModules(directory: string, open: OpenTensors): Promise<ParityModule[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -".json".length));
  return Promise.all(names.sort().map((name) => readParityModule(directory, name, open)));
}

/** Reads one of them by name. */
export async function readParityModule(directory: string, name: string, open: OpenTensors): Promise<ParityModule> {
  const path = join(directory, `${name}.json`);
  const spec = parseConfig(await readFile(path, "utf8"), path);
  return assembleModule(name, spec, await readAll(await open(join(directory, `${name}.safetensors`))));
}
