import { axisIn, cummax, cumprod, cumsum, type Shape, sizeOf } from "@x/tensor";
import { u32 } from "../device/launch.ts";
import { webgpuKernel } from "./kernel.ts";
import { type Place, type Planner, type Wide, wideOf } from "./planner.ts";

/** Elements that one invocation walks; longer axes are cut, and what each part carries into the next is added up first. */
const part = 128;

/** What is accumulated: a start, and how an element joins. NaN stays from where it comes. */
const joins = {
  sum: { start: (type: Wide) => `${type}(0)`, join: () => "sum + v" },
  prod: { start: (type: Wide) => `${type}(1)`, join: () => "sum * v" },
  max: {
    start: (type: Wide) => (type === "f32" ? "f32(-3.4028234663852886e38)" : type === "i32" ? "i32(-2147483648)" : "u32(0)"),
    join: (type: Wide) => (type === "f32" ? "larger(sum, v)" : "max(sum, v)"),
  },
} as const;
type Join = keyof typeof joins;

const larger = `fn is_nan_word(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn larger(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, is_nan_word(b)), a, is_nan_word(a)); }
`;

interface Attrs {
  readonly reverse: boolean;
  readonly exclusive: boolean;
}

/** One part of one column an invocation: either its total, or its running values from what is carried into it. */
function walk(op: Join, type: Wide, { reverse, exclusive }: Attrs, totals: boolean, carried: boolean): string {
  const { start, join } = joins[op];
  const joined = join(type);
  const step = totals ? `sum = ${joined};` : exclusive ? `y_put(at, sum); sum = ${joined};` : `sum = ${joined}; y_put(at, sum);`;
  return `${op === "max" && type === "f32" ? larger : ""}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let id = group_of(group) * 64u + lane;
  let parts = (p.n + p.part - 1u) / p.part;
  if (id >= p.outer * p.inner * parts) { return; }
  let inside = id % p.inner;
  let which = id / p.inner % parts;
  let outer = id / p.inner / parts;
  var sum = ${carried ? "carry_at(id)" : start(type)};
  for (var i = which * p.part; i < min(p.n, (which + 1u) * p.part); i++) {
    let place = ${reverse ? "p.n - 1u - i" : "i"};
    let at = (outer * p.n + place) * p.inner + inside;
    let v = x_at(at);
    ${op === "max" && !carried && !exclusive ? "if (i == which * p.part) { sum = v; }" : ""}
    ${step}
  }
  ${totals ? "y_put(id, sum);" : ""}
}
`;
}

function cumulate(p: Planner, op: Join, type: Wide, shape: Shape, axis: number, attrs: Attrs): void {
  const [outer, n, inner] = [sizeOf(shape.slice(0, axis)), shape[axis]!, sizeOf(shape.slice(axis + 1))];
  scan(p, op, type, p.input("x"), p.output("y"), { outer, n, inner }, attrs);
}

function scan(
  p: Planner,
  op: Join,
  type: Wide,
  x: Place,
  y: Place,
  { outer, n, inner }: { outer: number; n: number; inner: number },
  attrs: Attrs,
): void {
  const parts = Math.ceil(n / part);
  const columns = outer * inner;
  const cut = parts > 1;
  const params = (length: number) => ({ outer: u32(outer), n: u32(n), inner: u32(inner), part: u32(length) });
  const label = `cumulative ${op}`;
  if (!cut) {
    p.run({
      label,
      code: walk(op, type, attrs, false, false),
      params: params(Math.max(1, n)),
      groups: Math.ceil(columns / 64),
      reads: { x },
      writes: { y },
    });
    return;
  }
  const [totals, carry] = [p.scratch(columns * parts, type), p.scratch(columns * parts, type)];
  const groups = Math.ceil((columns * parts) / 64);
  p.run({
    label: `${label}: parts`,
    code: walk(op, type, attrs, true, false),
    params: params(part),
    groups,
    reads: { x },
    writes: { y: totals },
  });
  // Parts are already in the order they are walked in.
  scan(p, op, type, totals, carry, { outer, n: parts, inner }, { reverse: false, exclusive: true });
  p.run({ label, code: walk(op, type, attrs, false, true), params: params(part), groups, reads: { x, carry }, writes: { y } });
}

export const cumulativeKernels = [
  webgpuKernel(cumsum, {
    plan: (p, { specs: { x }, attrs: { axis, ...attrs } }) =>
      cumulate(p, "sum", wideOf(x.dtype), x.shape, axisIn(axis, x.shape.length, "cumsum"), attrs),
  }),
  webgpuKernel(cumprod, {
    plan: (p, { specs: { x }, attrs: { axis, ...attrs } }) =>
      cumulate(p, "prod", wideOf(x.dtype), x.shape, axisIn(axis, x.shape.length, "cumprod"), attrs),
  }),
  webgpuKernel(cummax, {
    plan: (p, { specs: { x }, attrs: { axis } }) =>
      cumulate(p, "max", wideOf(x.dtype), x.shape, axisIn(axis, x.shape.length, "cummax"), { reverse: false, exclusive: false }),
  }),
];
