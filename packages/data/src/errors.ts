/** Something is wrong with the data handed in: a file, a text, token ids, or a state that belongs to other data. */
export class DataError extends Error {
  override readonly name = "DataError";
}

/** Shows a value in a message: short, on one line, strings quoted. */
export function show(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Returns `value` if it is an integer of at least `least`; otherwise throws an error that names who asked and the argument. */
export function integer(who: string, argument: string, value: unknown, least: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new DataError(`${who}: ${argument} must be an integer of at least ${least}, got ${show(value)}.`);
}
