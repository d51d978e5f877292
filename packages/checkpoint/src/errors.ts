const brand = Symbol.for("@x/checkpoint.error");

/** Something is wrong with a checkpoint, its names, or the place it is read from or written to. The message names file and tensor. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  readonly [brand] = true;

  /** Recognised by a brand, not by `instanceof`, so that two copies of this package agree. */
  static isInstance(error: unknown): error is CheckpointError {
    return typeof error === "object" && error !== null && (error as Record<symbol, unknown>)[brand] === true;
  }
}

/** Shows a value in a message: on one line, short, strings quoted. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

const words: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the disk",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission is denied",
  EPERM: "the operation is not permitted",
  EROFS: "the file system is read-only",
  ENOENT: "it does not exist",
  ENOTDIR: "a part of the path is no directory",
  EISDIR: "it is a directory",
  EIO: "the disk reports an input/output error",
  EMFILE: "too many files are open",
};

/** The code of a file-system error ("ENOENT"), or undefined. */
export const codeOf = (error: unknown): string | undefined => (error as { code?: string } | null)?.code;

/** What happened, in words that a user of a program understands. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code !== undefined && words[code] !== undefined) return `${words[code]} (${code})`;
  return error instanceof Error ? error.message : String(error);
}
