import { adamw, sumOfSquares } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { f32, type Param, u32 } from "../device/launch.ts";
import { mathSource } from "../wgsl/math.ts";
import { webgpuKernel } from "./kernel.ts";
import type { Place, Planner, Use } from "./planner.ts";

/** ln beta as two f32: one alone would lose five digits of 1 - beta^t at t = 1. */
function logarithm(name: string, beta: number): Record<string, Param> {
  const exact = Math.log(Math.max(beta, 1e-30));
  const high = Math.fround(exact);
  return { [`ln_${name}`]: f32(high), [`ln_${name}_low`]: f32(exact - high) };
}

/** What an update takes from outside, the same for every element: step size, decay, root of the second correction, and the factor on the gradient. */
const rates = (scaled: boolean) => `${mathSource(["m_expm1"])}
fn rates() -> vec4<f32> {
  let t = vec2<f32>(step_at(0u));
  let corrections = -m_expm1(vec4<f32>(t * vec2<f32>(p.ln_beta1, p.ln_beta2) + t * vec2<f32>(p.ln_beta1_low, p.ln_beta2_low), 0.0, 0.0)).xy;
  let lr = lr_at(0u);
  return vec4<f32>(lr / corrections.x, lr * p.decay, sqrt(corrections.y), ${scaled ? "scale_at(0u)" : "1.0"});
}
`;

const update = (skips: string) => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group_of(group) * 64u + lane;
  if (4u * c >= p.size) { return; }
  let old = param_at(c);
  let r = rates();
  // Beside one another, since a place may be written over what was read.
  let m0 = m_at(c);
  let v0 = v_at(c);
  let g = grad_at(c) * r.w;
  let m1 = fma(m0, vec4<f32>(p.beta1), g * p.rest1);
  let v1 = fma(v0, vec4<f32>(p.beta2), g * g * p.rest2);
  let kept = old - old * r.y;
  let moved = kept - m1 / (sqrt(v1) / r.z + p.eps) * r.x;
  let skip = ${skips};
  made_param_put(c, select(moved, old, skip));
  made_m_put(c, select(m1, m0, skip));
  made_v_put(c, select(v1, v0, skip));
}
`;

const packCode = (scaled: boolean, skips: boolean) => `${rates(scaled)}
@compute @workgroup_size(1)
fn main() {
  let r = rates();
  for (var i = 0u; i < 4u; i++) { data_put(i, r[i]); }
  data_put(4u, ${skips ? "f32(skip_at(0u))" : "0.0"});
}
`;

/**
 * In place, as in a compiled step, everything is bound at once: eight buffers. Else what all elements share is made by a first launch, since there are three more buffers for the results.
 */
export const adamwKernel = webgpuKernel(adamw, {
  plan(p, { specs: { param }, attrs: { beta1, beta2, eps, weightDecay }, reuses }) {
    const size = sizeOf(param.shape);
    const constants = { beta1: f32(beta1), beta2: f32(beta2), rest1: f32(1 - beta1), rest2: f32(1 - beta2), eps: f32(eps) };
    const logarithms = { ...logarithm("beta1", beta1), ...logarithm("beta2", beta2), decay: f32(weightDecay) };
    const scalars = {
      lr: p.input("lr"),
      step: p.input("step"),
      ...(p.has("gradScale") && { scale: p.input("gradScale") }),
      ...(p.has("skip") && { skip: p.input("skip") }),
    };
    const [scaled, skips] = [p.has("gradScale"), p.has("skip")];
    const inPlace = param.dtype === "f32" && reuses("param") && reuses("m") && reuses("v");
    if (inPlace) {
      elements(p, size, `${rates(scaled)}${update(skips ? "skip_at(0u) != 0u" : "false")}`, { ...constants, ...logarithms }, scalars);
      return;
    }
    const data = p.scratch(8);
    p.run({ label: "adamw: rates", code: packCode(scaled, skips), params: logarithms, groups: 1, reads: scalars, writes: { data } });
    const shared = "fn rates() -> vec4<f32> { return vec4<f32>(data_at(0u), data_at(1u), data_at(2u), data_at(3u)); }";
    elements(p, size, `${shared}${update("data_at(4u) != 0.0")}`, constants, { data });
  },
});

function elements(p: Planner, size: number, code: string, params: Record<string, Param>, shared: Record<string, Place>): void {
  const four = (place: Place): Use => [place, 4];
  p.run({
    code,
    params: { size: u32(size), ...params },
    groups: Math.ceil(size / 256),
    reads: { param: four(p.input("param")), grad: four(p.input("grad")), m: four(p.input("m")), v: four(p.input("v")), ...shared },
    writes: { made_param: four(p.output("param")), made_m: four(p.output("m")), made_v: four(p.output("v")) },
  });
}

/** Elements that a workgroup adds up. */
const chunk = 16_384;

const squaresCode = `var<workgroup> partial: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let part = group_of(group);
  let end = min(p.size, (part + 1u) * p.chunk);
  var sum = 0.0;
  for (var i = part * p.chunk + lane; i < end; i += 64u) { let v = x_at(i); sum = fma(v, v, sum); }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane == 0u && part < p.parts) {
    var total = 0.0;
    for (var i = 0u; i < 64u; i++) { total += partial[i]; }
    sums_put(p.first + part, total);
  }
}
`;
const totalCode = `
@compute @workgroup_size(1)
fn main() {
  var total = 0.0;
  for (var i = 0u; i < p.count; i++) { total += sums_at(i); }
  y_put(0u, total);
}
`;

/** Chunks of each tensor, then all chunks in order. */
export const sumOfSquaresKernel = webgpuKernel(sumOfSquares, {
  plan(p, { specs: { xs } }) {
    const parts = xs.map(({ shape }) => Math.max(1, Math.ceil(sizeOf(shape) / chunk)));
    const count = parts.reduce((a, b) => a + b, 0);
    const sums = p.scratch(count);
    let first = 0;
    for (const [i, { shape }] of xs.entries()) {
      p.run({
        label: "sumOfSquares",
        code: squaresCode,
        params: { size: u32(sizeOf(shape)), chunk: u32(chunk), parts: u32(parts[i]!), first: u32(first) },
        groups: parts[i]!,
        reads: { x: p.input("xs", i) },
        parts: { sums },
      });
      first += parts[i]!;
    }
    p.run({
      label: "sumOfSquares: total",
      code: totalCode,
      params: { count: u32(count) },
      groups: 1,
      reads: { sums },
      writes: { y: p.output("y") },
    });
  },
});
