/** A refused option or prompt, or logits that nothing can be chosen from. The message says who, what, expected, received and what to do. */
export class GenerateError extends Error {
  override readonly name = "GenerateError";
}

/** Throws a `GenerateError` for an argument out of its range. */
export function refuse(who: string, argument: string, expected: string, received: unknown, hint?: string): never {
  throw new GenerateError(`${who}: ${argument} must be ${expected}, received ${show(received)}.${hint ? ` ${hint}` : ""}`);
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return `[${Array.from(value as ArrayLike<unknown>)
      .slice(0, 8)
      .map(String)
      .join(", ")}]`;
  return String(value);
}
