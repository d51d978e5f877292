import { axisIn, concat, copy, embed, encode, sizeOf } from "@x/tensor";
import { i32, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import type { Place, Planner, Strided } from "./planner.ts";

export const copyKernel = webgpuKernel(copy, {
  layout: { x: "strided" },
  plan: (p) => p.convert(p.strided("x"), p.target("y")),
});

/**
 * Elements at strided places of the output: output element [i0, i1, ...] with every i = offset + k * step takes x at k, the others keep what `fill` wrote or belong to another
 * launch. One invocation writes four neighbours, so that narrow elements share no word with another's; `range` limits it to a part of the output.
 */
function scatterCode(rank: number): string {
  const axes = Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  return `
fn source_of(flat: u32) -> i32 {
  var rest = flat;
  var at = p.x_offset;
  var inside = true;
${axes
  .map(
    (axis) => `  {
    let i = i32(rest % p.extent${axis});
    rest /= p.extent${axis};
    let d = i - p.first${axis};
    inside = inside && d >= 0 && d % p.step${axis} == 0 && d / p.step${axis} < p.count${axis};
    at += d / p.step${axis} * p.stride${axis};
  }`,
  )
  .join("\n")}
  return select(-1, at, inside);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (c >= p.chunks) { return; }
  var v = y_at(c);
  for (var k = 0u; k < 4u; k++) {
    let flat = 4u * c + k;
    let at = source_of(flat);
    if (flat < p.size && at >= 0) { v[k] = x_at(u32(at)); }
  }
  y_put(c, v);
}
`;
}

/** Writes x into the output at offset + k * step of each axis, leaving the rest as it is. */
export function place(
  p: Planner,
  x: Strided,
  out: Place,
  shape: readonly number[],
  offsets: readonly number[],
  steps: readonly number[],
): void {
  if (sizeOf(x.shape) === 0) return;
  const size = sizeOf(shape);
  const axes =
    shape.length === 0
      ? [{ extent: 1, first: 0, step: 1, count: 1, stride: 0 }]
      : shape.map((extent, axis) => ({
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
    [`count${axis}`, i32(count)],
    [`stride${axis}`, i32(stride)],
  ]);
  p.run({
    label: "place",
    code: scatterCode(axes.length),
    params: { chunks: u32(Math.ceil(size / 4)), size: u32(size), x_offset: i32(x.offset), ...Object.fromEntries(fields) },
    groups: Math.ceil(size / 256),
    reads: { x },
    modifies: { y: [out, 4] },
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
