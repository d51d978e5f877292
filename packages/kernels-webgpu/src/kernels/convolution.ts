import { convolution, sizeOf } from "@x/tensor";
import { i32, type Param, u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";

/** Two spatial axes, a first one of extent 1 where there is one. */
const plane = <T>(axes: readonly T[], first: T): [T, T] => (axes.length === 1 ? [first, axes[0]!] : [axes[0]!, axes[1]!]);

const workgroup = 64;
/** Invocations that keep a GPU busy, and the shortest sum that is worth an invocation: long sums of few results (a weight's gradient) are split. */
const [enough, shortest] = [16_384, 64];

interface Form {
  /** Output channels an invocation makes, of four neighbouring places each. */
  readonly channels: 1 | 4;
  /** Zeros stand between the input's elements. */
  readonly spread: boolean;
}

/** The places of four neighbours along an axis in the input, and whether an element stands there. */
const located = (axis: "h" | "w", at: string, type: string, spread: boolean): string => `
    let ${axis}_at = ${at};
    ${spread ? `let ${axis}_i = ${axis}_at / ${type}(p.spread_${axis});` : `let ${axis}_i = ${axis}_at;`}
    let ${axis}_in = (${axis}_at >= ${type}(0)) & (${axis}_i < ${type}(i32(p.size_${axis})))${spread ? ` & (${axis}_i * ${type}(p.spread_${axis}) == ${axis}_at)` : ""};`;

/** An invocation makes a block of results, walking through the taps of one part of the sum: channel, kernel row, kernel column. */
function source({ channels, spread }: Form): string {
  const outputs = Array.from({ length: channels }, (_, i) => i);
  return `
@compute @workgroup_size(${workgroup})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var rest = group_of(group) * ${workgroup}u + lane;
  let w0 = rest % p.fours * 4u; rest /= p.fours;
  let h = i32(rest % p.out_h); rest /= p.out_h;
  let o0 = rest % p.blocks * ${channels}u; rest /= p.blocks;
  let g = rest % p.groups; rest /= p.groups;
  let b = rest % p.batch;
  let part = rest / p.batch;
  if (part >= p.parts) { return; }
  let begin = part * p.chunk;
  let end = min(p.taps, begin + p.chunk);
  var kw = begin % p.kernel_w;
  var kh = begin / p.kernel_w % p.kernel_h;
  let area = p.size_h * p.size_w;
  var base = (b * p.groups + g) * p.channels * area + begin / (p.kernel_w * p.kernel_h) * area;
  let top = h * p.stride_h - p.pad_h;
  let left = (vec4<i32>(i32(w0)) + vec4<i32>(0, 1, 2, 3)) * p.stride_w - p.pad_w;
  ${outputs.map((o) => `var sum${o} = vec4<f32>(0.0); let row${o} = (g * p.outputs + min(o0 + ${o}u, p.outputs - 1u)) * p.taps;`).join(" ")}
  for (var tap = begin; tap < end; tap++) {${located("h", "top + i32(kh) * p.dilation_h", "i32", spread)}${located("w", "left + i32(kw) * p.dilation_w", "vec4<i32>", spread)}
    if (h_in) {
      let line = base + u32(h_i) * p.size_w;
      let at = vec4<u32>(clamp(w_i, vec4<i32>(0), vec4<i32>(i32(p.size_w) - 1))) + line;
      let x = select(vec4<f32>(0.0), vec4<f32>(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w)), w_in);
      ${outputs.map((o) => `sum${o} = fma(vec4<f32>(weight_at(row${o} + tap)), x, sum${o});`).join("\n      ")}
    }
    kw++;
    if (kw == p.kernel_w) { kw = 0u; kh++; }
    if (kh == p.kernel_h) { kh = 0u; base += area; }
  }
  let channel = ((part * p.batch + b) * p.groups + g) * p.outputs + o0;
  ${outputs
    .map(
      (o) =>
        `if (o0 + ${o}u < p.outputs) { for (var i = 0u; i < 4u; i++) { if (w0 + i < p.out_w) { y_put(((channel + ${o}u) * p.out_h + u32(h)) * p.out_w + w0 + i, sum${o}[i]); } } }`,
    )
    .join("\n  ")}
}
`;
}

const addCode = `
@compute @workgroup_size(${workgroup})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * ${workgroup}u + lane;
  if (i >= p.size) { return; }
  var sum = 0.0;
  for (var part = 0u; part < p.parts; part++) { sum += parts_at(part * p.size + i); }
  y_put(i, sum);
}
`;

export const convolutionKernel = webgpuKernel(convolution, {
  plan(p, { specs: { x, weight }, outputs: { y }, attrs }) {
    const size = sizeOf(y.shape);
    if (size === 0) return;
    const { groups } = attrs;
    const [batch, inputs, ...space] = x.shape as [number, number, ...number[]];
    const at = (list: readonly number[], absent: number) =>
      plane(
        space.map((_, i) => list[i] ?? absent),
        absent,
      );
    const axes: Record<string, [number, number]> = {
      ...{ size: plane(space, 1), kernel: plane(weight.shape.slice(2), 1), out: plane(y.shape.slice(2), 1) },
      ...{ stride: at(attrs.stride, 1), dilation: at(attrs.dilation, 1), spread: at(attrs.inputDilation, 1) },
      pad: at(
        space.map((_, i) => attrs.padding[i]?.[0] ?? 0),
        0,
      ),
    };
    const outputs = weight.shape[0]! / groups;
    const [channels, spread] = [outputs % 4 === 0 || outputs > 8 ? 4 : 1, axes.spread!.some((step) => step !== 1)] as const;
    const taps = sizeOf(weight.shape.slice(1));
    const [fours, blocks] = [Math.ceil(axes.out![1] / 4), Math.ceil(outputs / channels)];
    const results = batch * groups * blocks * axes.out![0] * fours;
    const wanted = p.caps.software ? 1 : Math.min(Math.floor(enough / results), Math.floor(taps / shortest), 64);
    const chunk = Math.max(1, Math.ceil(taps / Math.max(1, wanted)));
    const parts = Math.max(1, Math.ceil(taps / chunk));
    const signed = ["stride", "dilation", "spread", "pad"];
    const params: Record<string, Param> = {};
    for (const [name, [h, w]] of Object.entries(axes))
      for (const [axis, value] of [
        ["h", h],
        ["w", w],
      ] as const)
        params[`${name}_${axis}`] = signed.includes(name) ? i32(value) : u32(value);
    for (const [name, value] of Object.entries({ batch, groups, channels: inputs / groups, outputs, taps, fours, blocks, chunk, parts }))
      params[name] = u32(value);
    const made = parts === 1 ? p.output("y") : p.scratch(parts * size);
    p.run({
      code: source({ channels, spread }),
      params,
      groups: Math.ceil((results * parts) / workgroup),
      reads: { x: p.input("x"), weight: p.input("weight") },
      writes: { y: made },
    });
    if (parts === 1) return;
    p.run({
      label: "convolution: parts of the sum",
      code: addCode,
      params: { size: u32(size), parts: u32(parts) },
      groups: Math.ceil(size / workgroup),
      reads: { parts: made },
      writes: { y: p.output("y") },
    });
  },
});
