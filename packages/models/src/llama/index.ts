export { llamaConfig, llamaNames } from "./checkpoint.ts";
export { Llama, type LlamaConfig, type LlamaOptions } from "./llama.ts";
