import { mathSource } from "./math.ts";

/** How a program of rows is spread: a row of \`lanes\` invocations, vectors of four loaded at once or element by element. */
export interface RowForm {
  readonly width: 1 | 4;
  /** 1: an invocation a row, for adapters where barriers cost; else a workgroup a row. */
  readonly lanes: 1 | 64 | 256;
}

/** Rows of one workgroup where an invocation takes a row. */
export const serialRows = 16;

export function rowForm(software: boolean, n: number): RowForm {
  return { width: n % 4 === 0 ? 4 : 1, lanes: software ? 1 : n <= 1024 ? 64 : 256 };
}

export const rowGroups = ({ lanes }: RowForm, rows: number): number => (lanes === 1 ? Math.ceil(rows / serialRows) : rows);

const four = (expression: (lane: number) => string): string => [0, 1, 2, 3].map(expression).join(", ");

/** \`NAME_row(row, k)\`: elements 4k to 4k + 3 of a row; past its end the last one again. */
const load = (name: string, width: 1 | 4): string =>
  width === 4
    ? `fn ${name}_row(row: u32, k: u32) -> V { return ${name}_at(row * p.vectors + k); }`
    : `fn ${name}_row(row: u32, k: u32) -> V {
  let base = row * p.n;
  return V(${four((lane) => `${name}_at(base + min(4u * k + ${lane}u, p.n - 1u))`)});
}`;

/** \`NAME_set_row(row, k, v)\`. */
const store = (name: string, width: 1 | 4): string =>
  width === 4
    ? `fn ${name}_set_row(row: u32, k: u32, v: V) { ${name}_put(row * p.vectors + k, v); }`
    : `fn ${name}_set_row(row: u32, k: u32, v: V) {
  for (var i = 0u; i < 4u; i++) { if (4u * k + i < p.n) { ${name}_put(row * p.n + 4u * k + i, v[i]); } }
}`;

/** \`tail(k, v)\`: zeros past the end of the row. */
const tail = (width: 1 | 4): string =>
  width === 4
    ? "fn tail(k: u32, v: V) -> V { return v; }"
    : "fn tail(k: u32, v: V) -> V { return select(V(0.0), v, vec4<u32>(4u * k) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.n)); }";

/** \`NAME(value, lane)\`: one value of all lanes of a row, for each of them. */
function across(name: string, type: string, lanes: RowForm["lanes"], combine: (a: string, b: string) => string): string {
  if (lanes === 1) return `fn ${name}(v: ${type}, lane: u32) -> ${type} { return v; }`;
  return `var<workgroup> ${name}_lanes: array<${type}, ${lanes}>;
fn ${name}(v: ${type}, lane: u32) -> ${type} {
  workgroupBarrier();
  ${name}_lanes[lane] = v;
  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { ${name}_lanes[lane] = ${combine(`${name}_lanes[lane]`, `${name}_lanes[lane + half]`)}; }
  }
  workgroupBarrier();
  return ${name}_lanes[0];
}`;
}

const plus = (a: string, b: string) => `${a} + ${b}`;
const acrossRow: Readonly<Record<string, (lanes: RowForm["lanes"]) => string>> = {
  row_sum: (lanes) => across("row_sum", "f32", lanes, plus),
  row_sums: (lanes) => across("row_sums", "vec2<f32>", lanes, plus),
  row_vector: (lanes) => across("row_vector", "V", lanes, plus),
  row_max: (lanes) => across("row_max", "f32", lanes, (a, b) => `max(${a}, ${b})`),
};

export interface RowProgram {
  readonly loads: readonly string[];
  readonly stores?: readonly string[];
  /** Functions of math.ts. */
  readonly math?: readonly string[];
  /** Declarations of its own. */
  readonly helpers?: string;
  /** What is done to row \`row\`; \`lane\` and \`LANES\` are there, \`p.n\`, \`p.rows\` and \`p.vectors\` too. */
  readonly body: string;
}

/** The source of a program of rows: \`for (var k = lane; k < p.vectors; k += LANES)\` walks the row. */
export function rowSource({ width, lanes }: RowForm, { loads, stores = [], math = [], helpers = "", body }: RowProgram): string {
  const code = `${helpers}\n${body}`;
  const size = lanes === 1 ? serialRows : lanes;
  return [
    mathSource(math) || "alias V = vec4<f32>;",
    `const LANES = ${lanes}u;`,
    "fn fold(v: V) -> f32 { return (v.x + v.y) + (v.z + v.w); }",
    tail(width),
    ...loads.map((name) => load(name, width)),
    ...stores.map((name) => store(name, width)),
    ...Object.entries(acrossRow).flatMap(([name, source]) => (new RegExp(`\\b${name}\\(`).test(code) ? [source(lanes)] : [])),
    helpers,
    `@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
  let row = group_of(group)${lanes === 1 ? ` * ${serialRows}u + invocation` : ""};
  let lane = ${lanes === 1 ? "0u" : "invocation"};
  if (row >= p.rows) { return; }
${body}
}`,
  ].join("\n");
}
