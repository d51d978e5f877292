export { ConfigReader, type PublishedConfig } from "./config.ts";
export { Decoder, type DecoderConfig, type DecoderOptions } from "./decoder/index.ts";
export { type Family, families, type LanguageModel } from "./families.ts";
export { fromPretrained, type Pretrained } from "./from-pretrained.ts";
export { GPT2, type GPT2Config, type GPT2Options, type GPT2State, gpt2Config, gpt2Names } from "./gpt2/index.ts";
export { Llama, type LlamaConfig, type LlamaOptions, type LlamaState, llamaConfig, llamaNames } from "./llama/index.ts";
export {
  SegmentMemory,
  TransformerXL,
  type TransformerXLConfig,
  type TransformerXLOptions,
  transformerXLConfig,
  transformerXLNames,
} from "./transformer-xl/index.ts";
