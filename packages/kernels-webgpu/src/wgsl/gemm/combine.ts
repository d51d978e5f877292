import { mathSource } from "../math.ts";
import { type Epilogue, finishCode, mathOf, range } from "./form.ts";

/** Adds the parts of a split product in order, four columns an invocation, and finishes them; after the last quads come the sums of rows, if there are any. */
export function combineCode(epilogue: Epilogue, sums: boolean): string {
  const read =
    epilogue.width === 4
      ? "x_at((part * p.part + row + j) >> 2u)"
      : `vec4<f32>(${range(4).map((l) => `x_at(part * p.part + row + min(j + ${l}u, p.n - 1u))`)})`;
  const rowSum = `
    let i = at - p.quads * p.lines;
    if (i < p.m) {
      var total = 0.0;
      for (var part = 0u; part < p.parts; part++) { total += partial_at(part * p.m + i); }
      sums_put(i, total);
    }`;
  return `${mathSource(mathOf(epilogue.activation))}${finishCode(epilogue)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let at = group_of(group) * 64u + index;
  if (at >= p.quads * p.lines) {${sums ? rowSum : ""}
    return;
  }
  let row = at / p.quads * p.n;
  let j = at % p.quads * 4u;
  var total = vec4<f32>();
  for (var part = 0u; part < p.parts; part++) { total += ${read}; }
  finish(row, j, total);
}
`;
}
