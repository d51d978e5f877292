import type { Cell } from "./cell.ts";
import { context } from "./context.ts";
import type { PerName } from "./kernel.ts";
import type { Application, Bind } from "./launch.ts";
import type { Buffer } from "./value.ts";

/** A step being recorded: applications in order, on buffers that are names. Nothing runs and nothing is allocated. */
export class Trace {
  readonly applications: Application[] = [];
  /** Cells the body read or wrote, with their version when it first did. */
  readonly cells = new Map<Cell, number>();

  record(application: Application): void {
    this.applications.push(application);
  }

  touch(cell: Cell): void {
    if (!this.cells.has(cell)) this.cells.set(cell, cell.buffer.version);
  }
}

/** Whether a compiled step is being recorded: host bookkeeping that must happen once a call does not belong into its body. */
export const isTracing = (): boolean => context.trace !== undefined;

/**
 * What the trace says, one line an application, with buffers numbered by appearance and constants spelled out: two traces of a body are
 * the same step exactly if these lines are. Memory from outside goes by identity, through `outside`.
 */
export function fingerprint(trace: Trace, outside: (buffer: Buffer) => string): string[] {
  const numbers = new Map<Buffer, string>();
  const nameOf = (buffer: Buffer) => {
    if (!buffer.trace) return outside(buffer);
    const known = numbers.get(buffer) ?? `%${numbers.size}`;
    numbers.set(buffer, known);
    return known;
  };
  const bind = ({ name, buffer, offset }: Bind) => `${name}=${nameOf(buffer)}${offset ? `+${offset}` : ""}`;
  return trace.applications.map(({ kernel, attrs, specs, outputs, wants, reads, writes }) =>
    [
      kernel.name,
      plain(attrs),
      plain(specs),
      plain(outputs),
      [...wants].join(),
      reads.map(bind).join(" "),
      writes.map(bind).join(" "),
    ].join(" | "),
  );
}

const plain = (value: PerName<unknown>): string =>
  JSON.stringify(value, (_, item) =>
    typeof item === "number" && !Number.isFinite(item) ? String(item) : typeof item === "function" ? `function ${item.name}` : item,
  );

/** Numbers for memory from outside the trace, stable over the traces of one step. */
export function outsideNames(): (buffer: Buffer) => string {
  const names = new Map<Buffer, string>();
  return (buffer) => {
    const known = names.get(buffer) ?? `@${names.size}`;
    names.set(buffer, known);
    return known;
  };
}
