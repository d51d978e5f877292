import type { CaseResult, Entry } from "./results.ts";

/** The figures of one case as text, fastest first, each beside the fastest. */
export function caseTable(result: CaseResult): string {
  const { work, threads, entries, absent } = result;
  const real = entries.filter(({ competitor }) => !competitor.startsWith("ceiling"));
  const fastest = Math.min(...real.map(({ median }) => median));
  const rows = [...entries].sort((a, b) => a.median - b.median).map((entry) => row(entry, fastest));
  const header = [
    "",
    "threads",
    "median ms",
    "min ms",
    "x fastest",
    "rate",
    "difference",
    "device GiB",
    "process GiB",
    "median of each process",
  ];
  const adapters = [...new Set(entries.map(({ adapter }) => adapter).filter((each) => each !== undefined))];
  const where = adapters.length ? adapters.join(" and ") : `${threads} thread${threads > 1 ? "s" : ""}`;
  const lines = [`\n${work.name}, ${where}`, ...align([header, ...rows])];
  for (const [name, reason] of Object.entries(absent)) lines.push(`  (${name}: ${reason})`);
  lines.push(...curves(entries), ...demands(entries));
  const stated = Object.entries(result.ratios).map(([name, value]) => `${name} ${value.toFixed(2)}`);
  if (stated.length) lines.push(`  ours: ${stated.join(", ")}`);
  return lines.join("\n");
}

function row(entry: Entry, fastest: number): string[] {
  const difference = entry.maxAbsFromF64 ?? entry.maxAbsFromOther;
  return [
    `${entry.competitor} ${entry.version}`,
    String(entry.threads),
    entry.median.toFixed(3),
    entry.min.toFixed(3),
    (entry.median / fastest).toFixed(2),
    rate(entry),
    difference === undefined ? "" : difference.toExponential(1),
    entry.peakGB?.toFixed(3) ?? "",
    entry.processGB?.toFixed(2) ?? "",
    entry.processes.map((each) => each.toFixed(2)).join(" "),
  ];
}

function rate({ gbytesPerSecond, tokensPerSecond, gflops }: Entry): string {
  if (gbytesPerSecond) return `${gbytesPerSecond.toFixed(1)} GB/s`;
  if (tokensPerSecond) return `${tokensPerSecond.toFixed(0)} tokens/s`;
  return gflops ? `${gflops.toFixed(1)} GFLOP/s` : "";
}

function curves(entries: Entry[]): string[] {
  const withLosses = entries.filter(({ losses }) => losses);
  return align(withLosses.map(({ competitor, losses }) => [`losses ${competitor}`, ...losses!.map((loss) => loss.toFixed(5))]));
}

function demands(entries: Entry[]): string[] {
  const counted = entries.flatMap(({ competitor, demands: asked }) => (asked ? [{ competitor, asked }] : []));
  return align(
    counted.map(({ competitor, asked }) => [
      `${competitor} per step`,
      `${asked.launches} launches, ${asked.submits} submits, ${asked.allocations} new buffers`,
    ]),
  );
}

function align(rows: string[][]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return rows.map((row) => `  ${row.map((cell, i) => (i ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ")}`);
}
