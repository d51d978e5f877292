import { writeRows } from "@x/ops";
import { dtypes, sizeOf } from "@x/tensor";
import { i32, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import { dense } from "./planner.ts";

interface Traits {
  readonly ring: boolean;
  readonly paged: boolean;
}
const head = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;`;

/** An element of x, or four neighbours, an invocation: only the rows that are written are touched. `width` is that of a row. */
const scatterCode = ({ ring, paged }: Traits): string => `${head}
  if (c >= p.size) { return; }
  let source = c / p.width;
  let row = source % p.rows;
  let entry = source / p.rows / p.heads;
  let at = starts_at(entry) + i32(row);
  if (at < 0 || ${ring ? "row + p.capacity < p.rows" : "at >= i32(p.capacity)"}) { return; }
  ${ring ? "let place = u32(at) % p.capacity;" : "let place = u32(at);"}
  ${paged ? "let piece = u32(clamp(pages_at(entry * (p.capacity / p.extent) + place / p.extent), 0, p.pool - 1));" : "let piece = entry;"}
  y_put(((piece * p.heads + source / p.rows % p.heads) * p.extent + place % p.extent) * p.width + c % p.width, x_at(c));
}
`;

/** Which row of x falls on a row of the cache, or -1. */
const sourceOf = ({ ring, paged }: Traits): string => `
fn source_of(piece: u32, row: u32) -> i32 {
${
  paged
    ? `  for (var entry = 0u; entry < p.batch; entry++) {
    let most = p.capacity / p.extent;
    for (var j = 0u; j < most; j++) {
      let at = i32(j * p.extent + row) - starts_at(entry);
      let named = clamp(pages_at(entry * most + j), 0, p.pool - 1) == i32(piece);
      if (named && at >= 0 && at < i32(p.rows)) { return i32(entry * p.rows) + at; }
    }
  }
  return -1;`
    : `  var at = i32(row) - starts_at(piece);
${
  ring
    ? `  let behind = i32(p.rows) - 1 - at;
  if (behind >= 0) { at += behind / i32(p.capacity) * i32(p.capacity); }`
    : ""
}
  return select(-1, i32(piece * p.rows) + at, at >= 0 && at < i32(p.rows));`
}
}`;

/** Four neighbours of the cache an invocation, for narrow elements that share a word with another row's: new where a row of x falls on them, else as they were. */
const gatherCode = (traits: Traits): string => `${sourceOf(traits)}${head}
  if (4u * c >= p.size) { return; }
  var v = cache_at(c);
  for (var k = 0u; k < 4u; k++) {
    let flat = min(4u * c + k, p.size - 1u);
    let row = flat / p.width;
    let head = row / p.extent;
    let at = source_of(head / p.heads, row % p.extent);
    if (at >= 0) {
      let found = (u32(at) / p.rows * p.heads + head % p.heads) * p.rows + u32(at) % p.rows;
      v[k] = x_at(found * p.width + flat % p.width);
    }
  }
  y_put(c, v);
}
`;

export const writeRowsKernel = webgpuKernel(writeRows, {
  plan(p, { specs: { cache, x, pages }, attrs: { ring }, reuses }) {
    const [pool, heads, extent, dim] = cache.shape as [number, number, number, number];
    const [batch, , rows] = x.shape as [number, number, number];
    const [size, out] = [sizeOf(cache.shape), p.target("y")];
    const traits = { ring, paged: pages !== undefined };
    const params = {
      ...{ heads: u32(heads), rows: u32(rows), capacity: u32(pages ? pages.shape[1]! * extent : extent), extent: u32(extent) },
      ...(pages && { pool: i32(pool), batch: u32(batch) }),
    };
    const reads = { x: p.input("x"), starts: p.input("starts"), ...(pages && { pages: p.input("pages") }) };
    const copy = () => p.convert(dense(p.input("cache"), [size]), out);
    if (sizeOf(x.shape) === 0) {
      if (!reuses("y")) copy();
      return;
    }
    const width = dim % 4 === 0 ? 4 : 1;
    if (width === 1 && dtypes[cache.dtype].bytes < 4) {
      p.run({
        code: gatherCode(traits),
        params: { ...params, size: u32(size), width: u32(dim) },
        groups: Math.ceil(size / 256),
        reads: { ...reads, cache: [p.input("cache"), 4] },
        writes: { y: [out, 4] },
      });
      return;
    }
    if (!reuses("y")) copy();
    const count = sizeOf(x.shape) / width;
    p.run({
      code: scatterCode(traits),
      params: { ...params, size: u32(count), width: u32(dim / width) },
      groups: Math.ceil(count / 64),
      reads: { ...reads, x: [p.input("x"), width] },
      modifies: { y: [out, width] },
    });
  },
});
