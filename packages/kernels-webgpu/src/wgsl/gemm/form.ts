import type { activations } from "@x/ops";
import type { MatrixUnit } from "./matrix-unit.ts";

/** How one operand is fetched: four elements at a time along the summed axis or along its other, outer one; or singly, with any strides. */
export interface Side {
  readonly name: "a" | "b";
  readonly along: "k" | "outer" | "any";
}

/** Outputs of an invocation (rows x columns), invocations of a workgroup (down x across), steps of the sum held in shared memory (0: none is used). */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly down: number;
  readonly across: number;
  readonly depth: number;
  /** What multiplies small matrices: a subgroup of it stands where an invocation does. */
  readonly unit?: MatrixUnit;
}

/** What happens to a sum before it is stored. */
export interface Epilogue {
  readonly bias: boolean;
  readonly residual: boolean;
  readonly pre: boolean;
  readonly activation: keyof typeof activations;
  /** Results stored at a time: four where rows are whole fours. */
  readonly width: 1 | 4;
}

/** Everything that the text of a product depends on; extents, strides and offsets are parameters. */
export interface Form {
  readonly a: Side;
  readonly b: Side;
  readonly tile: Tile;
  /** Axes of the batch. */
  readonly batch: number;
  /** The sum may end within a step of the loop: elements beyond its end count as 0. */
  readonly ragged: boolean;
  /** Parts of the sum go to different workgroups, and their results to a part of y each. */
  readonly split: boolean;
  /** The sums of the rows of a are wanted too. */
  readonly sums: boolean;
  readonly epilogue: Epilogue;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const lane = (i: number) => "xyzw"[i]!;

/** The place of a workgroup: `by` and `bx` down and across, the batch, and with a split sum the part. */
export const groupLines = ({ split }: Form): string[] => [
  "var g = group_of(group);",
  "let by = g % p.groups_down;",
  "g /= p.groups_down;",
  "let bx = g % p.groups_across;",
  "g /= p.groups_across;",
  split ? "let part = g % p.parts; let batch = g / p.parts;" : "let batch = g;",
];

/** Which steps of the sum a workgroup takes. */
export const sumLines = ({ split }: Form): string[] => [
  `let begin = ${split ? "part * p.chunk" : "0u"};`,
  `let end = ${split ? "min(p.k, begin + p.chunk)" : "p.k"};`,
];

/** Where the matrices of this batch begin: `a_first` and `b_first`, in the units each is fetched in. */
export function batchLines(axes: number): string[] {
  const lines = ["var a_first = p.a_offset;", "var b_first = p.b_offset;"];
  if (axes > 0) lines.push("var rest = batch;");
  for (const axis of range(axes).reverse()) {
    const at = axis === 0 ? "rest" : `rest % p.batch${axis}`;
    lines.push(`a_first += (${at}) * p.a_batch${axis};`, `b_first += (${at}) * p.b_batch${axis};`);
    if (axis > 0) lines.push(`rest /= p.batch${axis};`);
  }
  return lines;
}

const extentOf = ({ name }: Side) => (name === "a" ? "p.m" : "p.n");

/** Lines before the loop: places of the four outer elements from `outer` on. Those beyond the edge read the last one again. */
export function placeLines({ name, along }: Side, tag: string, outer: string): string[] {
  const extent = extentOf({ name, along });
  if (along === "outer") return [`let ${tag}_p = ${name}_first + min((${outer}) >> 2u, (${extent} - 1u) >> 2u);`];
  return range(4).map((s) => `let ${tag}_p${s} = ${name}_first + min(${outer} + ${s}u, ${extent} - 1u) * p.${name}_outer;`);
}

/** Expressions for `TAG_0` to `TAG_3`, the four outer elements at four steps of the sum from `k` on, after lines that load what they are made of. */
export function blockLines({ name, along }: Side, tag: string, k: string, end: string | undefined): string[] {
  const lines: string[] = [];
  const vectors = range(4).map((t) => {
    if (along === "outer") return `${name}_at(${tag}_p + (${k} + ${t}u) * p.${name}_k)`;
    if (along === "k") return `vec4<f32>(${range(4).map((s) => `${tag}_r${s}.${lane(t)}`)})`;
    return `vec4<f32>(${range(4).map((s) => `${name}_at(${tag}_p${s} + (${k} + ${t}u) * p.${name}_k)`)})`;
  });
  if (along === "k") for (const s of range(4)) lines.push(`let ${tag}_r${s} = ${name}_at(${tag}_p${s} + (${k} >> 2u));`);
  for (const [t, vector] of vectors.entries())
    lines.push(`let ${tag}_${t} = ${end ? `select(vec4<f32>(), ${vector}, ${k} + ${t}u < ${end})` : vector};`);
  return lines;
}

/** One row of a at four steps of the sum, as a vector along it: for tiles of fewer than four rows. */
export function rowLines({ name, along }: Side, tag: string, k: string, end: string | undefined): string[] {
  const value =
    along === "k"
      ? `${name}_at(${tag}_p0 + (${k} >> 2u))`
      : `vec4<f32>(${range(4).map((t) => `${name}_at(${tag}_p0 + (${k} + ${t}u) * p.${name}_k)`)})`;
  return [
    `let ${tag} = ${end ? `select(vec4<f32>(), ${value}, vec4<u32>(${k}) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(${end}))` : value};`,
  ];
}

export const accumulators = ({ tile: { rows, columns }, sums }: Form): string[] => [
  ...range(rows).flatMap((r) => range(columns / 4).map((q) => `var c${r}_${q} = vec4<f32>();`)),
  ...(sums ? range(rows / 4).map((q) => `var sum${q} = vec4<f32>();`) : []),
];

/** Adds one step: `a(r)` is a scalar, `b(q)` four columns. */
export const stepLines = ({ tile: { rows, columns } }: Form, a: (row: number) => string, b: (quad: number) => string): string[] =>
  range(rows).flatMap((r) => range(columns / 4).map((q) => `c${r}_${q} = fma(vec4<f32>(${a(r)}), ${b(q)}, c${r}_${q});`));

const activationCode = {
  none: "",
  relu: "let y = select(v, vec4<f32>(), v <= vec4<f32>());",
  gelu: "let y = v * (m_erf(v * 0.7071067811865476) + 1.0) * 0.5;",
  geluTanh: "let y = v * m_sigmoid((v * v * 0.07135481627260025 + 1.5957691216057308) * v);",
  silu: "let y = v * m_sigmoid(v);",
} as const;
/** Functions of the math library that an activation calls. */
export const mathOf = (activation: Epilogue["activation"]): string[] => activationCode[activation].match(/m_\w+/g) ?? [];

/** `finish(row, j, v)`: adds the bias, applies the activation, adds the residual and stores; `row` is the place of the row in y, j the column. */
export function finishCode({ bias, residual, pre, activation, width }: Epilogue): string {
  const each = (line: (l: string, at: string) => string) =>
    width === 4
      ? line("", "at")
      : range(4)
          .map((l) => `if (j + ${l}u < p.n) { ${line(`.${lane(l)}`, `row + j + ${l}u`)} }`)
          .join(" ");
  const ofRow = (name: string, at: string) =>
    width === 4 ? `${name}_at(${at})` : `vec4<f32>(${range(4).map((l) => `${name}_at(min(${at} + ${l}u, p.${name}_last))`)})`;
  const lines = [
    ...(width === 4 ? ["let at = (row + j) >> 2u;"] : []),
    `let v = sum${bias ? ` + ${width === 4 ? "bias_at(j >> 2u)" : ofRow("bias", "j * p.bias_step")}` : ""};`,
    ...(pre ? [each((l, at) => `pre_put(${at}, v${l});`)] : []),
    activationCode[activation] || "let y = v;",
    ...(residual ? [`let z = y + ${width === 4 ? "residual_at(at)" : ofRow("residual", "row + j")};`] : []),
    each((l, at) => `y_put(${at}, ${residual ? "z" : "y"}${l});`),
  ];
  return `fn finish(row: u32, j: u32, sum: vec4<f32>) {\n  ${lines.join("\n  ")}\n}`;
}

/** Adds to the sums of rows, in the workgroups of the first columns alone; `a` gives what is added to a quad of rows. */
export const sumsLines = ({ tile: { rows }, sums }: Form, a: (quad: number) => string): string[] =>
  sums ? ["if (bx == 0u) {", ...range(rows / 4).map((q) => `sum${q} += ${a(q)};`), "}"] : [];

/** Stores the accumulators; `i` and `j` give the first row and column of a quad. */
export function storeLines(
  { tile: { rows, columns }, split, sums }: Form,
  i: (row: number) => string,
  j: (quad: number) => string,
): string[] {
  const part = split ? "part * p.part + " : "";
  const lines = range(rows).flatMap((r) => [
    `if (${i(r)} < p.m) {`,
    ...range(columns / 4).map((q) => `  if (${j(q)} < p.n) { finish(${part}(batch * p.m + ${i(r)}) * p.n, ${j(q)}, c${r}_${q}); }`),
    "}",
  ]);
  if (sums)
    lines.push(
      `if (${j(0)} == 0u) {`,
      ...range(rows).map((r) => `  if (${i(r)} < p.m) { sums_put(${split ? "part * p.m + " : ""}${i(r)}, sum${r >> 2}.${lane(r & 3)}); }`),
      "}",
    );
  return lines;
}

export { lane, range };
