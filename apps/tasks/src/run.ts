/** `pnpm tasks`: an error that a user can do something about is a sentence; anything else keeps its stack. */
import { TensorError } from "@x/tensor";
import { main } from "./main.ts";

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const said = TensorError.isInstance(error) || (error as NodeJS.ErrnoException).code?.startsWith("ERR_PARSE_ARGS");
  console.error(said ? `tasks: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
