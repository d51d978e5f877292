import { f32, u32, webgpuKernel } from "@x/kernels-webgpu";
import { l2Normalize } from "./l2-normalize.ts";

/** One workgroup a row: partial sums of squares by its lanes, added in workgroup memory, then every lane scales its part. */
const code = (keeps: boolean) => `
var<workgroup> partial: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group_of(group);
  var sum = 0.0;
  if (row < p.rows) {
    for (var i = lane; i < p.n; i += 64u) {
      let v = x_at(row * p.n + i);
      sum = fma(v, v, sum);
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = 32u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  let scale = 1.0 / max(sqrt(partial[0]), p.eps);
  if (row >= p.rows) { return; }
  for (var i = lane; i < p.n; i += 64u) { y_put(row * p.n + i, x_at(row * p.n + i) * scale); }
  ${keeps ? "if (lane == 0u) { inverse_put(row, scale); }" : ""}
}
`;

export const l2NormalizeWebgpu = webgpuKernel(l2Normalize, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    const n = x.shape.at(-1)!;
    const rows = x.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    const inverse = p.wanted("inverse");
    p.run({
      code: code(inverse !== undefined),
      // Shapes and constants are parameters, so that one pipeline serves every shape.
      params: { n: u32(n), rows: u32(rows), eps: f32(eps) },
      groups: rows,
      reads: { x: p.input("x") },
      writes: { y: p.output("y"), ...(inverse && { inverse }) },
    });
  },
});
