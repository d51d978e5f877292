import { openAppend } from "#append-file";
import type { MetricsSink } from "./metrics.ts";

export interface JsonlOptions {
  /** Go on with the file of a run that is resumed after this many steps: lines of later steps are taken away. */
  resumeStep?: number;
  /** Without `resumeStep`: begin the file anew, even if it holds records. Otherwise that is an error, so that nothing is lost. */
  overwrite?: boolean;
}

/**
 * Records as JSON, one object a line, appended to a file at once. Numbers that JSON has no form for are written as the strings
 * "NaN", "Infinity" and "-Infinity". Node only.
 */
export function jsonlMetrics(path: string, { resumeStep, overwrite = false }: JsonlOptions = {}): MetricsSink {
  const file = openAppend(path, (content) => {
    if (resumeStep !== undefined) return bytesUpTo(content, resumeStep);
    if (content.length === 0 || overwrite) return 0;
    throw new Error(
      `jsonlMetrics: ${path} already holds ${content.length} bytes. Resume that run, choose another place, or pass overwrite.`,
    );
  });
  const encoder = new TextEncoder();
  return {
    write: (record) => file.append(encoder.encode(`${jsonLine(record)}\n`)),
    close: () => file.close(),
  };
}

/** A record as JSON on one line, no number lost. */
export function jsonLine(record: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(record, (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value));
}

/** The length of the whole lines at the start of `content` whose step is at most `step`: up to the first later, torn or foreign line. */
function bytesUpTo(content: Uint8Array, step: number): number {
  const decoder = new TextDecoder();
  let at = 0;
  for (;;) {
    const end = content.indexOf(10, at);
    if (end < 0 || !(stepOf(decoder.decode(content.subarray(at, end))) <= step)) return at;
    at = end + 1;
  }
}

/** The step of a line; NaN where it has none. */
function stepOf(line: string): number {
  try {
    const step: unknown = JSON.parse(line)?.step;
    return typeof step === "number" ? step : Number.NaN;
  } catch {
    return Number.NaN;
  }
}
