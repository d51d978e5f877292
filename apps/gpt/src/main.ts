import { TensorError } from "@x/tensor";
import { evaluate } from "./evaluate.ts";
import { generate } from "./generate.ts";
import { train } from "./train.ts";

const usage = `Trains, evaluates and samples GPTs.

  gpt train     --data FILE --out DIR [--preset tiny|baby|small|gpt2] [--steps N] [--seed S] [--resume] [--from DIR] [--json]
  gpt eval      --from DIR --data FILE [--json]
  gpt generate  --from DIR --prompt TEXT [--tokens N] [--temperature T] [--json]

All take --device wasm|reference and --threads N.`;

const commands: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = { train, eval: evaluate, generate };

/** Runs a command; errors of ours are a sentence for a person, anything else keeps its stack. */
export async function main([name, ...args]: readonly string[]): Promise<number> {
  const command = name === undefined ? undefined : commands[name];
  if (!command) {
    console.error(usage);
    return name === undefined || name === "--help" ? 0 : 2;
  }
  try {
    return await command(args);
  } catch (error) {
    const expected =
      TensorError.isInstance(error) ||
      (/Error$/.test((error as Error).name ?? "") && (error as Error).name !== "TypeError" && (error as Error).name !== "ReferenceError");
    console.error(expected ? `gpt ${name}: ${(error as Error).message}` : error);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
