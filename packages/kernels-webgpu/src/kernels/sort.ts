import { sizeOf, sort, topK } from "@x/tensor";
import { u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import { type Place, type Planner, type Wide, wideOf } from "./planner.ts";

/** Elements that are put in order by comparing each with all others; runs of that length are then merged in pairs. */
const block = 64;

/** Keys whose unsigned order is the wanted one; NaN comes last either way. Zeros of both signs are equal. An ascending i32 is its key with the sign bit turned. */
function keySource(type: Wide, descending: boolean): string {
  const turned = descending ? "~k" : "k";
  if (type === "u32") return `fn key_of(v: u32) -> u32 { let k = v; return ${turned}; }`;
  if (type === "i32") return `fn key_of(v: i32) -> u32 { let k = bitcast<u32>(v) ^ 0x80000000u; return ${turned}; }`;
  return `fn key_of(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }
  let plain = select(bits, 0u, bits == 0x80000000u);
  let k = select(plain | 0x80000000u, ~plain, (plain & 0x80000000u) != 0u);
  return ${turned};
}`;
}

const head = `@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_of(group) * 64u + lane;
  if (flat >= p.rows * p.n) { return; }
  let row = flat / p.n;
  let i = flat % p.n;`;

/** The rank of an element within its block: stable, as equal elements before it count. */
const blockCode = (type: Wide, descending: boolean) => `${keySource(type, descending)}
${head}
  let first = i - i % ${block}u;
  let own = key_of(x_at(flat));
  var rank = first;
  for (var j = first; j < min(p.n, first + ${block}u); j++) {
    let other = key_of(x_at(row * p.n + j));
    rank += select(0u, 1u, other < own || (other == own && j < i));
  }
  keys_put(row * p.n + rank, own);
  places_put(row * p.n + rank, i);
}
`;

/** The rank of an element in the merge of its run with the one beside it: its own place, and how many there come before it. */
const mergeCode = `${head}
  let first = i - i % (2u * p.run);
  let middle = min(p.n, first + p.run);
  let end = min(p.n, first + 2u * p.run);
  let own = keys_at(flat);
  let left = i < middle;
  var low = select(first, middle, left);
  let begin = low;
  var high = select(middle, end, left);
  while (low < high) {
    let at = (low + high) / 2u;
    let other = keys_at(row * p.n + at);
    // Of equals those of the left run come first.
    if (other < own || (!left && other == own)) { low = at + 1u; } else { high = at; }
  }
  let rank = row * p.n + first + (i - select(middle, first, left)) + (low - begin);
  merged_put(rank, own);
  moved_put(rank, places_at(flat));
}
`;

const pickCode = `@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_of(group) * 64u + lane;
  if (flat >= p.rows * p.k) { return; }
  let row = flat / p.k;
  let place = places_at(row * p.n + flat % p.k);
  values_put(flat, x_at(row * p.n + place));
  indices_put(flat, i32(place));
}
`;

/** Keys of each row of n in order, and the places they come from; equal ones as they come. */
export function sorted(p: Planner, x: Place, rows: number, n: number, descending: boolean): { keys: Place; places: Place } {
  const size = rows * n;
  const groups = Math.ceil(size / 64);
  const pair = () => ({ keys: p.scratch(size, "u32"), places: p.scratch(size, "u32") });
  let [from, to] = [pair(), n > block ? pair() : undefined];
  const common = { rows: u32(rows), n: u32(n) };
  p.run({ label: "sort: blocks", code: blockCode(wideOf(x.dtype), descending), params: common, groups, reads: { x }, writes: from });
  for (let run = block; run < n; run *= 2) {
    const writes = { merged: to!.keys, moved: to!.places };
    p.run({ label: "sort: merge", code: mergeCode, params: { ...common, run: u32(run) }, groups, reads: from, writes });
    [from, to] = [to!, from];
  }
  return from;
}

/** The first k of each row of n, in order. */
function order(p: Planner, x: Place, shape: readonly number[], k: number, descending: boolean): void {
  const n = shape.at(-1)!;
  const rows = sizeOf(shape.slice(0, -1));
  const { places } = sorted(p, x, rows, n, descending);
  p.run({
    label: "sort: values",
    code: pickCode,
    params: { rows: u32(rows), n: u32(n), k: u32(k) },
    groups: Math.ceil((rows * k) / 64),
    reads: { x, places },
    writes: { values: p.output("values"), indices: p.output("indices") },
  });
}

export const sortKernel = webgpuKernel(sort, {
  plan: (p, { specs: { x }, attrs: { descending } }) => order(p, p.input("x"), x.shape, x.shape.at(-1)!, descending),
});

export const topKKernel = webgpuKernel(topK, {
  plan: (p, { specs: { x }, attrs: { k } }) => order(p, p.input("x"), x.shape, k, true),
});
