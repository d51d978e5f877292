import { embedding } from "@x/ops";
import { axisIn, gather, putAdd, scatterAdd, sizeOf, take } from "@x/tensor";
import { u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import { type Place, type Planner, wideOf } from "./planner.ts";
import { sorted } from "./sort.ts";

/** An axis and what lies around it. */
interface Around {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}
const around = (shape: readonly number[], axis: number): Around => ({
  outer: sizeOf(shape.slice(0, axis)),
  extent: shape[axis]!,
  inner: sizeOf(shape.slice(axis + 1)),
});

/** Four neighbouring results an invocation, each found by \`place(flat)\` in x. */
const pick = (type: string, place: string) => `
fn place(flat: u32) -> u32 {
  let inside = flat % p.inner;
  let row = flat / p.inner;
  ${place}
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (4u * c >= p.size) { return; }
  var v = vec4<${type}>();
  for (var i = 0u; i < 4u; i++) { v[i] = x_at(place(min(4u * c + i, p.size - 1u))); }
  y_put(c, v);
}
`;
const clamped = "u32(clamp(index, 0, i32(p.extent) - 1))";

/** Where rows are whole fours: a vector at once. */
const pickRows = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (c >= p.size / 4u) { return; }
  let row = c / (p.inner / 4u);
  let index = indices_at(row % p.count);
  y_put(c, x_at((row / p.count * p.extent + ${clamped}) * (p.inner / 4u) + c % (p.inner / 4u)));
}
`;

function takeRows(p: Planner, x: Place, indices: Place, y: Place, { outer, extent, inner }: Around, count: number): void {
  const size = outer * count * inner;
  const whole = inner % 4 === 0;
  const type = wideOf(x.dtype);
  const place = `let index = indices_at(row % p.count); return (row / p.count * p.extent + ${clamped}) * p.inner + inside;`;
  p.run({
    code: whole ? pickRows : pick(type, place),
    params: { size: u32(size), inner: u32(inner), count: u32(count), extent: u32(extent) },
    groups: Math.ceil(size / 256),
    reads: { x: [x, whole ? 4 : 1], indices },
    writes: { y: [y, 4] },
  });
}

export const takeKernel = webgpuKernel(take, {
  plan(p, { specs: { x, indices }, attrs: { axis } }) {
    const at = around(x.shape, axisIn(axis, x.shape.length, "take"));
    takeRows(p, p.input("x"), p.input("indices"), p.target("y"), at, sizeOf(indices.shape));
  },
});

export const embeddingKernel = webgpuKernel(embedding, {
  plan(p, { specs: { table, indices } }) {
    takeRows(p, p.input("table"), p.input("indices"), p.target("y"), around(table.shape, 0), sizeOf(indices.shape));
  },
});

export const gatherKernel = webgpuKernel(gather, {
  plan(p, { specs: { x, indices }, attrs: { axis } }) {
    const at = axisIn(axis, x.shape.length, "gather");
    const { extent, inner } = around(x.shape, at);
    const size = sizeOf(indices.shape);
    const place = `let index = indices_at(flat); return (row / p.count * p.extent + ${clamped}) * p.inner + inside;`;
    p.run({
      code: pick(wideOf(x.dtype), place),
      params: { size: u32(size), inner: u32(inner), count: u32(indices.shape[at]!), extent: u32(extent) },
      groups: Math.ceil(size / 256),
      reads: { x: p.input("x"), indices: p.input("indices") },
      writes: { y: [p.target("y"), 4] },
    });
  },
});

/** Indices up to which each is compared with all others. */
const mostCompared = 4096;

/** The place of each index among all in ascending order, equal ones as they come; so that the slices of one index lie side by side. */
const orderCode = `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * 64u + lane;
  if (i >= p.count) { return; }
  let last = i32(p.extent) - 1;
  let own = clamp(indices_at(i), 0, last);
  var rank = 0u;
  for (var j = 0u; j < p.count; j++) {
    let other = clamp(indices_at(j), 0, last);
    rank += select(0u, 1u, other < own || (other == own && j < i));
  }
  places_put(rank, i);
  keys_put(rank, bitcast<u32>(own) ^ 0x80000000u);
}
`;
/** Each result finds its first slice by bisection and adds what follows, in order. The keys are those of a sort. */
const sumCode = (type: string) => `
fn index_at(i: u32) -> u32 { return u32(clamp(bitcast<i32>(keys_at(i) ^ 0x80000000u), 0, i32(p.extent) - 1)); }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_of(group) * 64u + lane;
  if (flat >= p.size) { return; }
  let inside = flat % p.inner;
  let target_row = flat / p.inner;
  let index = target_row % p.extent;
  let outer = target_row / p.extent;
  var low = 0u;
  var high = p.count;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (index_at(middle) < index) { low = middle + 1u; } else { high = middle; }
  }
  var sum = ${type}(0);
  while (low < p.count && index_at(min(low, p.count - 1u)) == index) {
    sum += x_at((outer * p.count + places_at(low)) * p.inner + inside);
    low++;
  }
  y_put(flat, sum);
}
`;

export const putAddKernel = webgpuKernel(putAdd, {
  plan(p, { specs: { indices }, outputs: { y }, attrs: { axis, extent } }) {
    const { outer, inner } = around(y.shape, axisIn(axis, y.shape.length, "putAdd"));
    const count = sizeOf(indices.shape);
    const size = outer * extent * inner;
    const out = p.output("y");
    if (count === 0) {
      p.fill(out, size);
      return;
    }
    const { keys, places } = count > mostCompared ? sorted(p, p.input("indices"), 1, count, false) : compared(p, count, extent);
    p.run({
      code: sumCode(wideOf(y.dtype)),
      params: { count: u32(count), extent: u32(extent), inner: u32(inner), size: u32(size) },
      groups: Math.ceil(size / 64),
      reads: { x: p.input("x"), keys, places },
      writes: { y: out },
    });
  },
});

/** The order of indices, as `sorted` has it, by comparing each with all: one launch, where sorting takes many. */
function compared(p: Planner, count: number, extent: number): { keys: Place; places: Place } {
  const order = { keys: p.scratch(count, "u32"), places: p.scratch(count, "u32") };
  p.run({
    label: "putAdd: order of the indices",
    code: orderCode,
    params: { count: u32(count), extent: u32(extent) },
    groups: Math.ceil(count / 64),
    reads: { indices: p.input("indices") },
    writes: order,
  });
  return order;
}

/** A column an invocation: zeros first, then every element added where it belongs, in order. */
const scatterCode = (type: string) => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let column = group_of(group) * 64u + lane;
  if (column >= p.outer * p.inner) { return; }
  let inside = column % p.inner;
  let outer = column / p.inner;
  for (var e = 0u; e < p.extent; e++) { y_put((outer * p.extent + e) * p.inner + inside, ${type}(0)); }
  for (var i = 0u; i < p.count; i++) {
    let origin = (outer * p.count + i) * p.inner + inside;
    let index = indices_at(origin);
    let to = (outer * p.extent + ${clamped}) * p.inner + inside;
    y_put(to, y_at(to) + x_at(origin));
  }
}
`;
/** A result an invocation, which looks through its column: for short ones. */
const searchCode = (type: string) => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let flat = group_of(group) * 64u + lane;
  if (flat >= p.outer * p.extent * p.inner) { return; }
  let inside = flat % p.inner;
  let row = flat / p.inner;
  var sum = ${type}(0);
  for (var i = 0u; i < p.count; i++) {
    let origin = (row / p.extent * p.count + i) * p.inner + inside;
    let index = indices_at(origin);
    if (${clamped} == row % p.extent) { sum += x_at(origin); }
  }
  y_put(flat, sum);
}
`;
/** Elements up to which every result looks for its own. */
const fewElements = 16;

export const scatterAddKernel = webgpuKernel(scatterAdd, {
  plan(p, { specs: { x }, outputs: { y }, attrs: { axis, extent } }) {
    const at = axisIn(axis, x.shape.length, "scatterAdd");
    const { outer, inner, extent: count } = around(x.shape, at);
    const few = count <= fewElements;
    const type = wideOf(y.dtype);
    const out = p.output("y");
    p.run({
      code: few ? searchCode(type) : scatterCode(type),
      params: { outer: u32(outer), inner: u32(inner), count: u32(count), extent: u32(extent) },
      groups: Math.ceil((few ? outer * extent * inner : outer * inner) / 64),
      reads: { x: p.input("x"), indices: p.input("indices") },
      ...(few ? { writes: { y: out } } : { modifies: { y: out } }),
    });
  },
});
