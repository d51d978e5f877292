import { mathSource } from "../math.ts";
import {
  accumulators,
  batchLines,
  type Form,
  finishCode,
  groupLines,
  lane,
  mathOf,
  range,
  stepLines,
  storeLines,
  sumLines,
  sumsLines,
} from "./form.ts";
import { loadsOf, sharesOf, throughShares } from "./shares.ts";

/** One step of the sum out of shared memory. */
function tileSteps(form: Form, quadsA: number, quadsB: number): string[] {
  const { rows, columns, down, across } = form.tile;
  return [
    ...range(rows / 4).map((q) => `let a${q} = tile_a[t * ${quadsA}u + y + ${q * down}u];`),
    ...range(columns / 4).map((q) => `let b${q} = tile_b[t * ${quadsB}u + x + ${q * across}u];`),
    ...sumsLines(form, (q) => `a${q}`),
    ...stepLines(
      form,
      (r) => `a${r >> 2}.${lane(r & 3)}`,
      (q) => `b${q}`,
    ),
  ];
}

/**
 * A workgroup's share of both operands goes through shared memory, turned so that four outer elements of one step are a vector. The next share is fetched into registers while this one
 * is worked on. Quads of an invocation lie `across` and `down` quads apart, so that neighbours read neighbouring vectors.
 */
export function tiledCode(form: Form): string {
  const { tile, ragged } = form;
  const { rows, columns, down, across, depth } = tile;
  const threads = down * across;
  const [quadsA, quadsB] = [(rows / 4) * down, (columns / 4) * across];
  const keep = (name: "a" | "b", step: string, quad: string, vector: string) => [
    `tile_${name}[${step} * ${name === "a" ? quadsA : quadsB}u + ${quad}] = ${vector};`,
  ];
  const loads = sharesOf(form.a, form.b, [quadsA, quadsB], depth, threads).flatMap((share) => loadsOf(share, depth, threads, keep));
  const steps = tileSteps(form, quadsA, quadsB);
  return `${mathSource(mathOf(form.epilogue.activation))}${finishCode(form.epilogue)}
var<workgroup> tile_a: array<vec4<f32>, ${quadsA * depth}>;
var<workgroup> tile_b: array<vec4<f32>, ${quadsB * depth}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  ${groupLines(form).join("\n  ")}
  if (batch >= p.batches) { return; }
  let x = index % ${across}u;
  let y = index / ${across}u;
  ${batchLines(form.batch).join("\n  ")}
  ${loads.flatMap(({ places }) => places).join("\n  ")}
  ${accumulators(form).join("\n  ")}
  ${sumLines(form).join("\n  ")}
  ${throughShares(loads, depth, ragged ? "end" : undefined, [`for (var t = 0u; t < ${depth}u; t++) {\n      ${steps.join("\n      ")}\n    }`])}
  ${storeLines(
    form,
    (r) => `(((by * ${rows / 4}u + ${r >> 2}u) * ${down}u + y) * 4u + ${r & 3}u)`,
    (q) => `(((bx * ${columns / 4}u + ${q}u) * ${across}u + x) * 4u)`,
  ).join("\n  ")}
}
`;
}
