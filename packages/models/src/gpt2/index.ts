export { gpt2Config, gpt2Names } from "./checkpoint.ts";
export { GPT2, type GPT2Config, type GPT2Options, type GPT2State } from "./gpt2.ts";
