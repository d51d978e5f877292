import { rope } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { f32, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";

/** A pair an invocation, or an element that is passed on: so that in place nobody reads what another has turned already. */
const code = (interleaved: boolean): string => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let units = p.dim - p.pairs;
  let id = group_of(group) * 64u + lane;
  if (id >= p.rows * units) { return; }
  let row = id / units;
  let unit = id % units;
  if (unit >= p.pairs) {
    let d = row * p.dim + p.pairs + unit;
    y_put(d, x_at(d));
    return;
  }
  let first = row * p.dim + ${interleaved ? "2u * unit" : "unit"};
  let second = first + ${interleaved ? "1u" : "p.pairs"};
  let i = row % p.length;
  let batch = row / p.length / p.heads;
  let angle = u32(clamp(positions_at(batch * p.position_batch + i), 0, i32(p.table) - 1)) * p.pairs + unit;
  let c = cos_at(angle);
  let s = sin_at(angle) * p.sign;
  let a = x_at(first);
  let b = x_at(second);
  y_put(first, a * c - b * s);
  y_put(second, b * c + a * s);
}
`;

export const ropeKernel = webgpuKernel(rope, {
  plan(p, { specs: { x, cos, positions }, attrs: { interleaved, inverse } }) {
    const [, heads, length, dim] = x.shape as [number, number, number, number];
    const [table, pairs] = cos.shape as [number, number];
    const rows = sizeOf(x.shape.slice(0, 3));
    p.run({
      code: code(interleaved),
      params: {
        ...{ rows: u32(rows), heads: u32(heads), length: u32(length), dim: u32(dim), table: u32(table), pairs: u32(pairs) },
        ...{ position_batch: u32(positions.shape.length === 2 ? length : 0), sign: f32(inverse ? -1 : 1) },
      },
      groups: Math.ceil((rows * (dim - pairs)) / 64),
      reads: { x: p.input("x"), cos: p.input("cos"), sin: p.input("sin"), positions: p.input("positions") },
      writes: { y: p.output("y") },
    });
  },
});
