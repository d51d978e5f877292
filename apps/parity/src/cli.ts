import { parseArgs } from "node:util";
import { openDevice } from "./devices.ts";
import { checkParity } from "./parity.ts";
import { asJson, asText, passes } from "./report.ts";
import { UnsupportedError } from "./unsupported.ts";

const usage = "usage: parity DIR [--device wasm|webgpu|reference] [--json]";

/** The command: prints the comparison, and resolves to the exit status. 0: all agrees; 1: something does not, or cannot be read; 2: not supported, or asked wrongly. */
export async function parity(args: readonly string[], print: (line: string) => void, complain: (line: string) => void): Promise<number> {
  try {
    const { directory, device: name, json } = readArguments(args);
    const device = await openDevice(name);
    try {
      const report = await checkParity(directory, device);
      print(json ? asJson(report) : asText(report));
      return passes(report) ? 0 : 1;
    } finally {
      device.close();
    }
  } catch (error) {
    complain((error as Error).message);
    return error instanceof UnsupportedError ? 2 : 1;
  }
}

function readArguments(args: readonly string[]): { readonly directory: string; readonly device: string; readonly json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { device: { type: "string", default: "wasm" }, json: { type: "boolean", default: false } },
    });
    const [directory, ...rest] = positionals;
    if (directory === undefined || rest.length > 0) throw new Error(`one directory is needed, got ${positionals.length}`);
    return { directory, ...values };
  } catch (error) {
    throw new UnsupportedError(`${(error as Error).message}\n${usage}`);
  }
}
