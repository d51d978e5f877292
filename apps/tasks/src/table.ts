/** One row of a task's result: what it was, and numbers by column. */
export interface Row {
  readonly name: string;
  readonly values: Readonly<Record<string, number>>;
}

/** Of each number the largest over the seeds; NaN is larger than all: the worst seed counts. */
export function worst(runs: readonly Row["values"][]): Row["values"] {
  const [first = {}] = runs;
  return Object.fromEntries(
    Object.keys(first).map((column) => {
      const values = runs.map((run) => run[column]!);
      return [column, values.some(Number.isNaN) ? Number.NaN : Math.max(...values)];
    }),
  );
}

const shown = (value: number): string =>
  Number.isNaN(value) ? "diverged" : Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(3);

/** A Markdown table. */
export function markdown(first: string, rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line([first, ...columns]),
    line(["---", ...columns.map(() => "--:")]),
    ...rows.map(({ name, values }) =>
      line([name, ...columns.map((column) => (values[column] === undefined ? "" : shown(values[column])))]),
    ),
  ].join("\n");
}
