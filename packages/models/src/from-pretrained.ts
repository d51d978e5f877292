import { type LoadReport, loadCheckpoint, openWeights, readJson } from "@x/checkpoint";
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
  const family = typeof type === "string" ? families[type] : undefined;
  if (!family)
    throw new TensorError(
      `${directory}: model_type in config.json is ${JSON.stringify(type)}; known are ${Object.keys(families).join(", ")}.`,
    );
  const weights = await openWeights(directory);
  try {
    // Published files hold both where they were saved apart: then they are not tied, whatever the configuration says.
    const headApart = [...weights.tensors.keys()].includes("lm_head.weight");
    const tied = config.tie_word_embeddings ?? family.name === "gpt2";
    const model = withGenerator(new Generator({ seed: 0, device: defaultDevice("fromPretrained") }), () =>
      family.create(config, headApart && tied ? { tied: false } : {}),
    );
    const report = await loadCheckpoint(namedCells(model), weights, family.names, { aliases: cellAliases(model) });
    return { model, family, config, report };
  } finally {
    await weights.close();
  }
}
