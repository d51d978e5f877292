import type { NameTable } from "@x/checkpoint";
import type { CausalLM, Module } from "@x/nn";
import type { Tensor } from "@x/tensor";
import { GPT2, gpt2Config, gpt2Names } from "./gpt2/index.ts";
import { Llama, llamaConfig, llamaNames } from "./llama/index.ts";
import { TransformerXL, transformerXLConfig, transformerXLNames } from "./transformer-xl/index.ts";

/** What every language model here offers. */
export type LanguageModel = Module &
  CausalLM & { hiddenStates(tokens: Tensor, options?: object): Tensor[]; logits(hidden: Tensor, options?: object): Tensor };

/** How a published architecture becomes a model: its configuration, and its names. */
export interface Family {
  readonly name: string;
  readonly names: NameTable;
  create(config: unknown, overrides?: { readonly tied?: boolean }): LanguageModel;
}

const gpt2: Family = { name: "gpt2", names: gpt2Names, create: (config, overrides) => new GPT2({ ...gpt2Config(config), ...overrides }) };
const llama: Family = {
  name: "llama",
  names: llamaNames,
  create: (config, overrides) => new Llama({ ...llamaConfig(config), ...overrides }),
};
const transformerXL: Family = {
  name: "transformer-xl",
  names: transformerXLNames,
  create: (config, overrides) => new TransformerXL({ ...transformerXLConfig(config), ...overrides }),
};

/** By `model_type` of config.json. */
export const families: Readonly<Record<string, Family>> = {
  gpt2,
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: llama,
  "transfo-xl": transformerXL,
};
