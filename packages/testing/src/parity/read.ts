import { listFiles, readText } from "#files";
import { assemble, assembleModule, type ParityDirectory, type ParityModule, type ParityReader, parseConfig, readAll } from "./format.ts";

/** Opens a safetensors file; `(path) => openSafetensors(fileSource(path))` of `@x/checkpoint` does. */
export type OpenTensors = (path: string) => Promise<ParityReader>;

/** Reads a parity directory (see `shared/parity-example/README.md` for the format); the checkpoint itself is left to the model. */
export async function readParity(directory: string, open: OpenTensors): Promise<ParityDirectory> {
  const json = async (name: string) => parseConfig(await readText(directory, name), `${directory}/${name}`);
  const spec = await json("parity.json");
  const tensors = await readAll(await open(`${directory}/parity.safetensors`));
  const names = await listFiles(directory);
  const generationConfig = names.includes("generation_config.json") ? await json("generation_config.json") : undefined;
  return { ...assemble(directory, spec, tensors), config: await json("config.json"), generationConfig };
}

/** Reads every module of a directory of single modules (`layers/`). */
export async function readParityModules(directory: string, open: OpenTensors): Promise<ParityModule[]> {
  const names = (await listFiles(directory)).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -".json".length));
  return Promise.all(names.sort().map((name) => readParityModule(directory, name, open)));
}

/** Reads one of them by name. */
export async function readParityModule(directory: string, name: string, open: OpenTensors): Promise<ParityModule> {
  const spec = parseConfig(await readText(directory, `${name}.json`), `${directory}/${name}.json`);
  return assembleModule(name, spec, await readAll(await open(`${directory}/${name}.safetensors`)));
}
