/** `pnpm parity DIR [--device wasm|webgpu|reference] [--json]`: compares our models with what published implementations gave, directory by directory. */
import { parity } from "./cli.ts";

process.exitCode = await parity(process.argv.slice(2), console.log, console.error);
