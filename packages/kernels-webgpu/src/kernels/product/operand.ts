import type { Strided } from "../planner.ts";

/** Which of a matrix's directions can be read four elements at a time: along a row, along a column, or neither. */
export type Direction = "row" | "column" | "none";

/** A matrix, or a batch of them, as it lies: strides in elements. */
export interface Operand {
  readonly from: Strided;
  readonly batch: readonly number[];
  readonly row: number;
  readonly column: number;
  readonly direction: Direction;
}

/** Reads in fours need unit steps along the direction and whole fours everywhere else. */
export function operand(from: Strided, batch: readonly number[], row: number, column: number, rows: number, columns: number): Operand {
  const whole = (n: number) => n % 4 === 0;
  const placed = whole(from.offset) && batch.every(whole);
  const along = column === 1 && placed && whole(columns) && (whole(row) || rows === 1);
  const down = row === 1 && placed && whole(rows) && (whole(column) || columns === 1);
  return { from, batch, row, column, direction: along ? "row" : down ? "column" : "none" };
}

/**
 * WGSL of `NAME_block(i, j, base)`: the 4 x 4 elements from row i and column j on, a column of the result for each row i, i + 1, ... Rows beyond the last repeat it, columns beyond it are zeros
 * (`rowsMasked`: the other way round), so that a sum over the masked extent is right; `rows` and `columns` are the names of the parameters with the extents.
 */
export function blockSource(
  name: string,
  { direction }: Operand,
  rows: string,
  columns: string,
  { rowsMasked, exact }: { readonly rowsMasked: boolean; readonly exact: boolean },
): string {
  const [r, c] = [`p.${name}_row`, `p.${name}_column`];
  const four = [0, 1, 2, 3];
  const masked = (value: string, test: string) => (exact ? value : `select(vec4<f32>(0.0), ${value}, ${test})`);
  const header = `fn ${name}_block(i: u32, j: u32, base: u32) -> mat4x4<f32> {`;
  if (direction === "row") {
    // Columns are whole fours, so a vector is inside or outside as one.
    const at = (k: number) => `${name}_at((base + min(i + ${k}u, ${rows} - 1u) * ${r} + min(j, ${columns} - 4u)) >> 2u)`;
    const vectors = four.map((k) => (rowsMasked ? masked(at(k), `i + ${k}u < ${rows}`) : masked(at(k), `j < ${columns}`)));
    return `${header} return mat4x4<f32>(${vectors.join(", ")}); }`;
  }
  if (direction === "column") {
    const at = (k: number) => `${name}_at((base + min(j + ${k}u, ${columns} - 1u) * ${c} + min(i, ${rows} - 4u)) >> 2u)`;
    const vectors = four.map((k) => (rowsMasked ? masked(at(k), `i < ${rows}`) : masked(at(k), `j + ${k}u < ${columns}`)));
    return `${header} return transpose(mat4x4<f32>(${vectors.join(", ")})); }`;
  }
  const test = rowsMasked ? `i < ${rows}` : `j < ${columns}`;
  return `fn ${name}_one(i: u32, j: u32, base: u32) -> f32 {
  let v = ${name}_at(base + min(i, ${rows} - 1u) * ${r} + min(j, ${columns} - 1u) * ${c});
  return ${exact ? "v" : `select(0.0, v, ${test})`};
}
${header}
  return mat4x4<f32>(${four.map((k) => `vec4<f32>(${four.map((l) => `${name}_one(i + ${k}u, j + ${l}u, base)`).join(", ")})`).join(", ")});
}`;
}
