import { type ParseArgsConfig, parseArgs } from "node:util";
import { TensorError } from "@x/tensor";
import { jsonLine } from "@x/train";

type Options = NonNullable<ParseArgsConfig["options"]>;
export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** Parses a command's options; what is unknown or malformed is said in a sentence. */
export function parse(args: readonly string[], options: Options): Values {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values as Values;
  } catch (error) {
    const said = (error as Error).message.split(". ")[0]!.replace(/\.?$/, ".");
    const known = Object.keys(options).map((name) => `--${name}`);
    throw new TensorError(`${said} The options are ${known.join(", ")}.`);
  }
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
  readonly whole?: boolean;
}

/** A number option, or undefined where it is not given. */
export function number(values: Values, name: string, { min, max, whole = false }: Bounds = {}): number | undefined {
  const given = values[name];
  if (given === undefined) return undefined;
  const value = typeof given === "string" && given.trim() !== "" ? Number(given) : Number.NaN;
  const fits =
    Number.isFinite(value) && value >= (min ?? -Infinity) && value <= (max ?? Infinity) && (!whole || Number.isSafeInteger(value));
  if (fits) return value;
  const range = [...(min === undefined ? [] : [`at least ${min}`]), ...(max === undefined ? [] : [`at most ${max}`])].join(" and ");
  throw new TensorError(`--${name}: expected ${whole ? "a whole number" : "a number"}${range && ` of ${range}`}, got "${given}".`);
}

export function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

/** An option that is one of a few words, or undefined where it is not given. */
export function choice<T extends string>(values: Values, name: string, words: readonly T[]): T | undefined {
  const given = values[name];
  const found = words.find((word) => word === given);
  if (given === undefined || found !== undefined) return found;
  throw new TensorError(`--${name}: expected one of ${words.join(", ")}, got "${given}".`);
}

export function needed(values: Values, name: string, what: string): string {
  const value = text(values, name);
  if (value === undefined || value === "") throw new TensorError(`--${name} is needed: ${what}.`);
  return value;
}

/** The record without the entries that are undefined. */
export const given = <T extends object>(record: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };

/** One JSON object a line, on standard output. Infinities and NaN become strings, as in metrics.jsonl. */
export const printJson = (record: Readonly<Record<string, number | string>>): void => void process.stdout.write(`${jsonLine(record)}\n`);
