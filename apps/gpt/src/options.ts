import { type ParseArgsConfig, parseArgs } from "node:util";
import { TensorError } from "@x/tensor";

type Options = NonNullable<ParseArgsConfig["options"]>;
export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** Parses a command's options; what is unknown or malformed is said in a sentence. */
export function parse(args: readonly string[], options: Options): Values {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values as Values;
  } catch (error) {
    throw new TensorError(
      `${(error as Error).message} Known: ${Object.keys(options)
        .map((name) => `--${name}`)
        .join(", ")}.`,
    );
  }
}

/** A number option, or undefined. */
export function number(
  values: Values,
  name: string,
  { min = Number.NEGATIVE_INFINITY, whole = false }: { min?: number; whole?: boolean } = {},
): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === "" || Number.isNaN(value) || value < min || (whole && !Number.isInteger(value)))
    throw new TensorError(
      `--${name}: expected ${whole ? "a whole number" : "a number"}${min > Number.NEGATIVE_INFINITY ? ` of at least ${min}` : ""}, got "${text}".`,
    );
  return value;
}

export function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

export function needed(values: Values, name: string, what: string): string {
  const value = text(values, name);
  if (value === undefined || value === "") throw new TensorError(`--${name} is needed: ${what}.`);
  return value;
}

/** One JSON object a line, on standard output. */
export const printJson = (record: object): void => void process.stdout.write(`${JSON.stringify(record)}\n`);
