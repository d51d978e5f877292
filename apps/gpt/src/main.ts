import { TensorError } from "@x/tensor";
import { evaluate } from "./evaluate.ts";
import { generate } from "./generate.ts";
import { train } from "./train.ts";

const usage = `Trains, evaluates and samples GPTs.

  gpt train     --data FILE --out DIR [--preset tiny|baby|small|gpt2] [--steps N] [--seed S] [--from DIR] [--resume] [--json]
                [--mixer dense|longformer|bigbird|performer|xl] [--position learned|sinusoidal|rope|alibi|t5|xl|none]
                [--norm layer|rms] [--residual pre|post|sandwich|deep] [--heads-kv N]
  gpt eval      --from DIR --data FILE [--json]
  gpt generate  --from DIR --prompt TEXT [--tokens N] [--temperature T] [--json]

All take --device wasm|webgpu|reference and --threads N. What else there is: apps/gpt/README.md.`;

const commands: ReadonlyMap<string, (args: readonly string[]) => Promise<number>> = new Map([
  ["train", train],
  ["eval", evaluate],
  ["generate", generate],
]);

/** Errors that the language raises: a mistake of ours, whose stack is wanted. */
const mistakes = [TypeError, ReferenceError, SyntaxError];

/** Runs a command and returns the exit status. An error that a user can do something about is a sentence; anything else keeps its stack. */
export async function main([name, ...args]: readonly string[]): Promise<number> {
  const command = commands.get(name ?? "");
  if (!command || args.includes("--help")) {
    if (command || name === undefined || name === "--help") console.log(usage);
    else console.error(`gpt: there is no command "${name}".\n\n${usage}`);
    return command || name === "--help" ? 0 : 1;
  }
  try {
    return await command(args);
  } catch (error) {
    const ours = TensorError.isInstance(error) || (error instanceof Error && !mistakes.some((kind) => error instanceof kind));
    console.error(ours ? `gpt ${name}: ${error.message}` : error);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
