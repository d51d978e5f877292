import { writeRows } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";

/** Four neighbours of the cache an invocation: new where a row of x falls on them, else as they were. */
const code = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (4u * c >= p.size) { return; }
  var v = cache_at(c);
  for (var k = 0u; k < 4u; k++) {
    let flat = min(4u * c + k, p.size - 1u);
    let row = flat / p.dim;
    let head = row / p.capacity;
    let at = i32(row % p.capacity) - starts_at(head / p.heads);
    if (at >= 0 && at < i32(p.rows)) { v[k] = x_at((head * p.rows + u32(at)) * p.dim + flat % p.dim); }
  }
  y_put(c, v);
}
`;

export const writeRowsKernel = webgpuKernel(writeRows, {
  plan(p, { specs: { cache, x } }) {
    const [, heads, capacity, dim] = cache.shape as [number, number, number, number];
    const size = sizeOf(cache.shape);
    p.run({
      code,
      params: { size: u32(size), heads: u32(heads), capacity: u32(capacity), dim: u32(dim), rows: u32(x.shape[2]!) },
      groups: Math.ceil(size / 256),
      reads: { cache: [p.input("cache"), 4], x: p.input("x"), starts: p.input("starts") },
      writes: { y: [p.target("y"), 4] },
    });
  },
});
