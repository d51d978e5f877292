import type { DType } from "@x/tensor";
import { nearest } from "./nearest.ts";

/** What a load did, or would have done; every list is complete. Names are ours, but for `unused` and `dropped`. */
export interface LoadReport {
  readonly loaded: string[];
  readonly missing: { name: string; shape: readonly number[]; published: readonly string[]; near: readonly string[] }[];
  /** Published names that nothing asked for. */
  readonly unused: string[];
  readonly mismatched: { name: string; expected: string; received: string; why: string }[];
  readonly dropped: { name: string; reason: string }[];
  /** Names that took another's values, because one tensor stands for both. */
  readonly tied: { name: string; from: string }[];
  /** Names that the model ties and the checkpoint has with different values. */
  readonly untied: { name: string; from: string }[];
}

export const emptyReport = (): LoadReport => ({ loaded: [], missing: [], unused: [], mismatched: [], dropped: [], tied: [], untied: [] });

/** A tensor's type and shape, for messages: `f32 [2, 3]`. */
export const describe = (dtype: DType | string, shape: readonly number[]): string => `${dtype} [${shape.join(", ")}]`;

/** Whether the checkpoint is exactly what the model needs. */
export const isExact = ({ missing, unused, mismatched, untied }: LoadReport): boolean =>
  missing.length + unused.length + mismatched.length + untied.length === 0;

/** Adds, to each missing tensor, the unused names that look like it. */
export function suggest(report: LoadReport): void {
  // Beyond this many the names are of another model, and comparing all pairs would take long.
  for (const entry of report.missing.slice(0, 50)) {
    const wanted = entry.published[0] ?? entry.name;
    entry.near = nearest(wanted, report.unused.slice(0, 2000), 2);
  }
}

/** The report as text; every list is complete. */
export function formatReport(report: LoadReport): string {
  const sections = [
    section(
      "missing",
      report.missing.map(({ name, shape, published, near }) => `${name} [${shape.join(", ")}]${told(name, published)}${hint(near)}`),
    ),
    section("unused", report.unused),
    section(
      "mismatched",
      report.mismatched.map(({ name, expected, received, why }) => `${name}: expected ${expected}, received ${received} (${why})`),
    ),
    section(
      "tied by the model, but different in the checkpoint",
      report.untied.map(({ name, from }) => `${name} and ${from}`),
    ),
  ];
  return [`${report.loaded.length} tensors fit.`, ...sections.filter((text) => text !== "")].join("\n");
}

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? "" : `${title} (${lines.length}):\n${lines.map((line) => `  ${line}`).join("\n")}`;
const told = (name: string, published: readonly string[]): string =>
  published.length === 0 || (published.length === 1 && published[0] === name) ? "" : `, published as ${published.join(" + ")}`;
const hint = (near: readonly string[]): string => (near.length === 0 ? "" : `; did you mean ${near.join(" or ")}?`);
