import { i32, type Param, u32 } from "../../device/launch.ts";
import type { Place, Strided, Use } from "../planner.ts";

/** Rows [batch, heads, length, dim] of a launch: how the source reads them, four numbers at a time. */
export interface Rows {
  readonly use: Use;
  readonly params: Readonly<Record<string, Param>>;
  readonly source: string;
  readonly vectors: number;
}

export const vectorsOf = (dim: number): number => Math.ceil(dim / 4);

/** Whether every row begins on a vector of four. */
const aligned = ({ offset, strides, shape }: Strided): boolean =>
  shape[3]! % 4 === 0 && offset % 4 === 0 && strides[3] === 1 && strides.slice(0, 3).every((stride) => stride % 4 === 0);

/** Defines `NAME_row(batch, head, i)`, where a row begins, and `NAME_vec(row, c)`, its c-th vector, zero beyond its end. `slab` vectors are read at a time. */
export function rowsIn(name: string, from: Strided, slab = 1): Rows {
  const [batch, head, row, step] = from.strides as [number, number, number, number];
  const dim = from.shape[3]!;
  const vector = aligned(from);
  const whole = vectorsOf(dim) % slab === 0;
  const strides = { offset: from.offset, batch, head, row, ...(vector ? {} : { step }) };
  return {
    use: [from, vector ? 4 : 1],
    params: {
      [`${name}_dim`]: u32(dim),
      ...Object.fromEntries(Object.entries(strides).map(([field, value]) => [`${name}_${field}`, i32(value)])),
    },
    source: `
fn ${name}_row(batch: u32, head: u32, i: u32) -> i32 {
  return p.${name}_offset + i32(batch) * p.${name}_batch + i32(head) * p.${name}_head + i32(i) * p.${name}_row;
}
fn ${name}_vec(row: i32, c: u32) -> vec4<f32> {
  ${whole ? "" : `if (4u * c >= p.${name}_dim) { return vec4<f32>(); }`}
  ${vector ? `return ${name}_at(u32(row >> 2u) + c);` : singles(name)}
}`,
    vectors: vectorsOf(dim),
  };
}

const singles = (name: string): string => `var v = vec4<f32>();
  for (var e = 0u; e < 4u; e++) { if (4u * c + e < p.${name}_dim) { v[e] = ${name}_at(u32(row + i32(4u * c + e) * p.${name}_step)); } }
  return v;`;

/** Defines `NAME_put_vec(row, c, v)` for contiguous rows, behind so many elements of something else if given. */
export function rowsOut(name: string, to: Place, dim: number, begin?: number): Omit<Rows, "vectors"> {
  const vector = dim % 4 === 0;
  const first = begin === undefined ? "" : `p.${name}_begin + `;
  return {
    use: [to, vector ? 4 : 1],
    params: { [`${name}_dim`]: u32(dim), ...(begin !== undefined && { [`${name}_begin`]: u32(vector ? begin / 4 : begin) }) },
    source: `
fn ${name}_put_vec(row: u32, c: u32, v: vec4<f32>) {
  ${
    vector
      ? `if (4u * c < p.${name}_dim) { ${name}_put(${first}row * (p.${name}_dim >> 2u) + c, v); }`
      : `for (var e = 0u; e < 4u; e++) { if (4u * c + e < p.${name}_dim) { ${name}_put(${first}row * p.${name}_dim + 4u * c + e, v[e]); } }`
  }
}`,
  };
}

/** The uses, parameters and sources of several, for one launch. */
export function together(rows: Readonly<Record<string, Omit<Rows, "vectors">>>) {
  const entries = Object.entries(rows);
  return {
    uses: Object.fromEntries(entries.map(([name, { use }]) => [name, use])) as Record<string, Use>,
    params: Object.assign({}, ...entries.map(([, { params }]) => params)) as Record<string, Param>,
    source: entries.map(([, { source }]) => source).join("\n"),
  };
}
