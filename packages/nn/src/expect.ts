import { TensorError } from "@x/tensor";

const refuse = (who: string, name: string, what: string, value: unknown): never => {
  throw new TensorError(
    value === undefined
      ? `${who}: ${name} is missing. Pass { ${name} }, ${what}.`
      : `${who}: ${name} must be ${what}, got ${typeof value === "string" ? `"${value}"` : String(value)}.`,
  );
};

/** Refuses sizes and counts that are not positive integers, under the names of their options. For constructors of layers. */
export function expectCounts(who: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts))
    if (!Number.isSafeInteger(value) || value < 1) refuse(who, name, "a positive integer", value);
}

/** Refuses numbers that are not finite and above 0. */
export function expectPositive(who: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values))
    if (!(Number.isFinite(value) && value > 0)) refuse(who, name, "a finite number above 0", value);
}

/** Refuses what is none of the choices. */
export function expectChoice(who: string, name: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value)) refuse(who, name, `one of ${choices.join(", ")}`, value);
}
