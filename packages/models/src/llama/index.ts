export { llamaConfig, llamaNames } from "./checkpoint.ts";
export { Llama, type LlamaConfig, type LlamaOptions, type LlamaState } from "./llama.ts";
