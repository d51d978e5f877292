import { mathSource } from "../math.ts";
import { batchLines, type Form, finishCode, mathOf, range, sumLines } from "./form.ts";

/**
 * A few rows of a times a matrix whose columns lie along the sum, as a weight [outputs, inputs] does: a workgroup walks four columns, its invocations side by side, and adds up what they
 * found in shared memory. Each element of the matrix is read once.
 */
export function fewRowsCode(form: Form): string {
  const { a, tile, batch, epilogue, split } = form;
  const { rows, across } = tile;
  const rowAt = (r: number) =>
    a.along === "k"
      ? `a_at(a_first + ${r}u * p.a_outer + (k >> 2u))`
      : `vec4<f32>(${range(4).map((t) => `a_at(a_first + ${r}u * p.a_outer + (k + ${t}u) * p.a_k)`)})`;
  const part = split ? "part * p.part + " : "";
  return `${mathSource(mathOf(epilogue.activation))}${finishCode(epilogue)}
var<workgroup> found: array<vec4<f32>, ${rows * across}>;
@compute @workgroup_size(${across})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  var g = group_of(group);
  let j = (g % p.groups_across) * 4u;
  g /= p.groups_across;
  ${split ? "let part = g % p.parts; let batch = g / p.parts;" : "let batch = g;"}
  if (batch >= p.batches) { return; }
  ${batchLines(batch).join("\n  ")}
  ${range(4)
    .map((q) => `let b_p${q} = b_first + min(j + ${q}u, p.n - 1u) * p.b_outer;`)
    .join("\n  ")}
  ${range(rows)
    .map((r) => `var c${r} = vec4<f32>();`)
    .join("\n  ")}
  ${sumLines(form).join("\n  ")}
  for (var k = begin + 4u * index; k < end; k += ${4 * across}u) {
    ${range(4)
      .map((q) => `let b${q} = b_at(b_p${q} + (k >> 2u));`)
      .join("\n    ")}
    ${range(rows)
      .map((r) => `let a${r} = ${rowAt(r)};`)
      .join("\n    ")}
    ${range(rows)
      .map((r) => `c${r} += vec4<f32>(${range(4).map((q) => `dot(a${r}, b${q})`)});`)
      .join("\n    ")}
  }
  ${range(rows)
    .map((r) => `found[${r * across}u + index] = c${r};`)
    .join("\n  ")}
  for (var half = ${across / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (index < half) { ${range(rows)
      .map((r) => `found[${r * across}u + index] += found[${r * across}u + index + half];`)
      .join(" ")} }
  }
  workgroupBarrier();
  if (index < ${rows}u) { finish(${part}(batch * p.m + index) * p.n, j, found[index * ${across}u]); }
}
`;
}
