import { type LoadReport, loadCheckpoint, type NameTable, openWeights, readJson, type TensorReader } from "@x/checkpoint";
import { cellAliases, namedCells } from "@x/nn";
import { defaultDevice, Generator, TensorError, withGenerator } from "@x/tensor";
import { type Family, families, type LanguageModel } from "./families.ts";

export interface Pretrained {
  readonly model: LanguageModel;
  readonly family: Family;
  readonly config: Readonly<Record<string, unknown>>;
  readonly report: LoadReport;
}

/**
 * A published checkpoint directory (config.json, safetensors in one file or shards) as a model on the default device. Strict: names and shapes must fit exactly, and the error lists
 * everything that does not.
 */
export async function fromPretrained(directory: string): Promise<Pretrained> {
  const config = await readJson(`${directory}/config.json`);
  const type = config.model_type;
  const family = typeof type === "string" && Object.hasOwn(families, type) ? families[type] : undefined;
  if (!family)
    throw new TensorError(
      `${directory}: model_type in config.json is ${JSON.stringify(type)}; known are ${Object.keys(families).join(", ")}.`,
    );
  const weights = await openWeights(directory);
  try {
    // An output layer that differs from the token table is not tied to it, whatever the configuration says.
    const overrides = (await headDiffers(weights, family.names)) ? { tied: false } : {};
    const model = withGenerator(new Generator({ seed: 0, device: defaultDevice("fromPretrained") }), () =>
      family.create(config, overrides),
    );
    const tied = model.namedParameters().has("head.weight") ? [] : [["head.weight", "tokens.weight"] as const];
    const report = await loadCheckpoint(namedCells(model), weights, family.names, { aliases: new Map([...cellAliases(model), ...tied]) });
    return { model, family, config, report };
  } finally {
    await weights.close();
  }
}

/** Whether a file has an output layer of other values than its token table; some hold a tied one nevertheless. */
async function headDiffers(weights: TensorReader, names: NameTable): Promise<boolean> {
  const published = (ours: string) => names.toOurs(weights.tensors.keys()).moves.find((move) => move.ours[0] === ours)?.published[0];
  const [head, table] = [published("head.weight"), published("tokens.weight")];
  if (head === undefined || table === undefined) return false;
  const [a, b] = [weights.tensors.get(head)!, weights.tensors.get(table)!];
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return true;
  const other = weights.chunks(table);
  for await (const chunk of weights.chunks(head)) {
    const { value } = await other.next();
    if (!value || chunk.some((byte, i) => byte !== value[i])) return true;
  }
  return false;
}
