import { mathSource } from "../math.ts";
import { batchLines, type Form, finishCode, groupLines, lane, mathOf, range, sumLines } from "./form.ts";
import type { MatrixUnit } from "./matrix-unit.ts";
import { loadsOf, sharesOf, throughShares } from "./shares.ts";

/** A form with what is reckoned from it: the tile of a workgroup is height x width results, `down` x `across` small ones to a subgroup. */
interface Matrices extends Form {
  readonly unit: MatrixUnit;
  readonly threads: number;
  readonly height: number;
  readonly width: number;
  readonly downwards: readonly number[];
  readonly sidewards: readonly number[];
}

function matricesOf(form: Form): Matrices {
  const { rows, columns, down, across, unit } = form.tile;
  if (!unit) throw new Error("a product on matrices: the tile names no matrix unit.");
  const sizes = { threads: down * across * unit.lanes, height: rows * down, width: columns * across };
  return { ...form, ...sizes, unit, downwards: range(rows / unit.m), sidewards: range(columns / unit.n) };
}

/** Sums of the rows of a out of its share, in the workgroups of the first columns alone; an invocation has a row, or several. */
function rowSums({ sums, split, tile: { depth }, height, threads }: Matrices) {
  const each = sums ? range(Math.ceil(height / threads)) : [];
  const row = (n: number) => `index + ${n * threads}u`;
  const part = split ? "part * p.m + " : "";
  return {
    begin: each.map((n) => `var sum${n} = 0.0;`),
    add: each.map(
      (n) =>
        `if (bx == 0u && ${row(n)} < ${height}u) { for (var t = 0u; t < ${depth}u; t++) { sum${n} += f32(tile_a[t * ${height}u + ${row(n)}]); } }`,
    ),
    store: each.map((n) => {
      const at = `by * ${height}u + ${row(n)}`;
      return `if (bx == 0u && ${row(n)} < ${height}u && ${at} < p.m) { sums_put(${part}${at}, sum${n}); }`;
    }),
  };
}

/** One step of the matrix unit, k steps of the sum. */
function unitSteps({ unit, tile: { rows, columns }, height, width, downwards, sidewards }: Matrices): string[] {
  return [
    ...downwards.map((r) => `let a${r} = ${unit.left(`t * ${height}u + y * ${rows}u + ${r * unit.m}u`, height)};`),
    ...sidewards.map((q) => `let b${q} = ${unit.right(`t * ${width}u + x * ${columns}u + ${q * unit.n}u`, width)};`),
    ...downwards.flatMap((r) => sidewards.map((q) => `c${r}_${q} = ${unit.multiplyAdd(`a${r}`, `b${q}`, `c${r}_${q}`)};`)),
  ];
}

/** Sums on their way out lie in workgroup memory as rows, one row of small matrices of each subgroup at a time, and leave it four columns at a time. */
function storeLines({ unit, split, tile: { rows, columns, down }, width, threads, downwards, sidewards }: Matrices): string[] {
  const quads = width / 4;
  const values = range(4).map((l) => `tile_c[4u * u + ${l}u]`);
  return downwards.flatMap((r) => [
    "workgroupBarrier();",
    ...sidewards.map((q) => unit.store(`c${r}_${q}`, `y * ${unit.m * width}u + x * ${columns}u + ${q * unit.n}u`, width)),
    "workgroupBarrier();",
    `for (var u = index; u < ${down * unit.m * quads}u; u += ${threads}u) {`,
    `  let row = u / ${quads}u;`,
    `  let i = (by * ${down}u + row / ${unit.m}u) * ${rows}u + ${r * unit.m}u + row % ${unit.m}u;`,
    `  let j = bx * ${width}u + u % ${quads}u * 4u;`,
    `  if (i < p.m && j < p.n) { finish(${split ? "part * p.part + " : ""}(batch * p.m + i) * p.n, j, vec4<f32>(${values})); }`,
    "}",
  ]);
}

/**
 * Shares of both operands go through workgroup memory as in `tiledCode`, as single numbers: from there a matrix unit takes them, whatever way the operands lie, and what lies beyond their edges is
 * never seen. Sums go back through it, as small matrices can only be stored whole.
 */
export function matricesCode(given: Form): string {
  const form = matricesOf(given);
  const { unit, tile, threads, height, width, epilogue } = form;
  const { across, depth } = tile;
  const keep = (name: "a" | "b", step: string, quad: string, vector: string) =>
    range(4).map(
      (s) => `tile_${name}[${step} * ${name === "a" ? height : width}u + ${quad} * 4u + ${s}u] = ${unit.component}(${vector}.${lane(s)});`,
    );
  const loads = sharesOf(form.a, form.b, [height / 4, width / 4], depth, threads).flatMap((share) => loadsOf(share, depth, threads, keep));
  const sums = rowSums(form);
  return `${mathSource(mathOf(epilogue.activation))}${finishCode(epilogue)}
var<workgroup> tile_a: array<${unit.component}, ${height * depth}>;
var<workgroup> tile_b: array<${unit.component}, ${width * depth}>;
var<workgroup> tile_c: array<f32, ${tile.down * unit.m * width}>;
${unit.code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, ${unit.parameter} @builtin(local_invocation_index) index: u32) {
  ${groupLines(form).join("\n  ")}
  if (batch >= p.batches) { return; }
  let x = ${unit.subgroup} % ${across}u;
  let y = ${unit.subgroup} / ${across}u;
  ${batchLines(form.batch).join("\n  ")}
  ${loads.flatMap(({ places }) => places).join("\n  ")}
  ${form.downwards.flatMap((r) => form.sidewards.map((q) => `var c${r}_${q}: ${unit.sum};`)).join("\n  ")}
  ${[...sums.begin, ...sumLines(form)].join("\n  ")}
  ${throughShares(loads, depth, form.ragged ? "end" : undefined, [...sums.add, `for (var t = 0u; t < ${depth}u; t += ${unit.k}u) {\n      ${unitSteps(form).join("\n      ")}\n    }`])}
  ${[...storeLines(form), ...sums.store].join("\n  ")}
}
`;
}
