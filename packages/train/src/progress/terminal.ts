/** Where progress is written: `process.stderr`, or anything with these. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The process's standard error, where there is a process. */
export function standardError(): OutputStream | undefined {
  return (globalThis as { process?: { stderr?: OutputStream } }).process?.stderr;
}

/** Whether to use colour on `stream`: on a terminal, unless NO_COLOR is set to anything (no-color.org) or TERM is "dumb". */
export function hasColor(stream: OutputStream, env: Readonly<Record<string, string | undefined>> = environment()): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
}

function environment(): Readonly<Record<string, string | undefined>> {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
}

/** `text` in the terminal's own colour `code` (SGR), if `on`. */
export function paint(on: boolean, code: "dim" | "cyan" | "bold", text: string): string {
  const [open, close] = { dim: [2, 22], cyan: [36, 39], bold: [1, 22] }[code] as [number, number];
  return on ? `\u001b[${open}m${text}\u001b[${close}m` : text;
}
