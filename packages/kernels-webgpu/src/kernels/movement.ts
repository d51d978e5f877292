import { axisIn, concat, copy, dtypes, embed, encode, sizeOf } from "@x/tensor";
import { i32, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import type { Place, Planner, Strided } from "./planner.ts";

export const copyKernel = webgpuKernel(copy, {
  layout: { x: "strided" },
  plan: (p) => p.convert(p.strided("x"), p.target("y")),
});

/** A part of an output: element k of the part stands at first + k * step of each axis. */
interface Box {
  readonly extent: number;
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly stride: number;
}

const axesFrom = (rank: number): number[] => Array.from({ length: rank }, (_, axis) => rank - 1 - axis);

/** An element of the part an invocation. */
const scatterCode = (rank: number): string => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var rest = group_of(group) * 64u + lane;
  if (rest >= p.size) { return; }
  var at = p.x_offset;
  var to = 0;
  var span = 1;
${axesFrom(rank)
  .map(
    (axis) => `  {
    let k = i32(rest % p.count${axis});
    rest /= p.count${axis};
    at += k * p.stride${axis};
    to += (p.first${axis} + k * p.step${axis}) * span;
    span *= i32(p.extent${axis});
  }`,
  )
  .join("\n")}
  y_put(u32(to), x_at(u32(at)));
}
`;

/** Four neighbours of the output an invocation, so that narrow elements share no word with another's; what lies outside of the part stays as it is. */
const fillCode = (rank: number): string => `
fn source_of(flat: u32) -> i32 {
  var rest = flat;
  var at = p.x_offset;
  var inside = true;
${axesFrom(rank)
  .map(
    (axis) => `  {
    let i = i32(rest % p.extent${axis});
    rest /= p.extent${axis};
    let d = i - p.first${axis};
    inside = inside && d >= 0 && d % p.step${axis} == 0 && d / p.step${axis} < i32(p.count${axis});
    at += d / p.step${axis} * p.stride${axis};
  }`,
  )
  .join("\n")}
  return select(-1, at, inside);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (4u * c >= p.size) { return; }
  var v = y_at(c);
  for (var k = 0u; k < 4u; k++) {
    let flat = 4u * c + k;
    let at = source_of(flat);
    if (flat < p.size && at >= 0) { v[k] = x_at(u32(at)); }
  }
  y_put(c, v);
}
`;

/** Writes x into the output at offset + k * step of each axis, leaving the rest as it is. */
function place(p: Planner, x: Strided, out: Place, shape: readonly number[], offsets: readonly number[], steps: readonly number[]): void {
  if (sizeOf(x.shape) === 0) return;
  const axes: Box[] = shape.map((extent, axis) => ({
    extent,
    first: offsets[axis]!,
    step: steps[axis]!,
    count: x.shape[axis]!,
    stride: x.strides[axis]!,
  }));
  const fields = axes.flatMap(({ extent, first, step, count, stride }, axis) => [
    [`extent${axis}`, u32(extent)],
    [`first${axis}`, i32(first)],
    [`step${axis}`, i32(step)],
    [`count${axis}`, u32(count)],
    [`stride${axis}`, i32(stride)],
  ]);
  const narrow = dtypes[out.dtype].bytes < 4;
  const size = sizeOf(narrow ? shape : x.shape);
  p.run({
    label: "place",
    code: narrow ? fillCode(axes.length) : scatterCode(axes.length),
    params: { size: u32(size), x_offset: i32(x.offset), ...Object.fromEntries(fields) },
    groups: Math.ceil(size / (narrow ? 256 : 64)),
    reads: { x },
    ...(narrow ? { modifies: { y: [out, 4] } } : { parts: { y: out } }),
  });
}

export const concatKernel = webgpuKernel(concat, {
  layout: { xs: "strided" },
  plan(p, { specs: { xs }, outputs: { y }, attrs: { axis } }) {
    const at = axisIn(axis, y.shape.length, "concat");
    let start = 0;
    for (const [i, x] of xs.entries()) {
      const offsets = y.shape.map((_, j) => (j === at ? start : 0));
      place(
        p,
        p.strided("xs", i),
        p.target("y"),
        y.shape,
        offsets,
        y.shape.map(() => 1),
      );
      start += x.shape[at]!;
    }
  },
});

export const embedKernel = webgpuKernel(embed, {
  layout: { x: "strided" },
  plan(p, { outputs: { y }, attrs: { offsets, steps, value } }) {
    const bytes = encode([value], y.dtype);
    const repeated = Uint8Array.from({ length: 4 }, (_, i) => bytes[i % bytes.length]!);
    p.fill(p.target("y"), sizeOf(y.shape), new DataView(repeated.buffer).getUint32(0, true));
    place(p, p.strided("x"), p.target("y"), y.shape, offsets, steps);
  },
});
