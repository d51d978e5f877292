import { mathSource } from "../../wgsl/math.ts";

/** exp(2 pi i k / n) with the angle reduced in whole numbers, so that no root is worse than another. n below 2^29. */
export const rootSource = `${mathSource(["turns"])}
fn root(k: u32, n: u32) -> vec2<f32> {
  let quarter = (8u * k + n) / (2u * n);
  let rest = f32(i32(4u * k) - i32(quarter * n)) / f32(n) * 1.5707963267948966;
  return wave(Turns(vec4<i32>(i32(quarter)) + vec4<i32>(1, 0, 1, 0), vec4<f32>(rest)), 0).xy;
}
fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> { return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
`;

/** How a workgroup makes one pass: transforms of `radices` multiplied, over `columns` sequences side by side. */
export interface Pass {
  readonly radices: readonly number[];
  readonly columns: number;
  /** The only pass: sequences are rows, and lie one after another. */
  readonly whole: boolean;
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
export const extentOf = ({ radices }: Pass): number => radices.reduce((n, radix) => n * radix, 1);
const threadsOf = (pass: Pass): number => Math.min(256, Math.max(32, 2 ** Math.ceil(Math.log2((extentOf(pass) * pass.columns) / 4))));

/**
 * Stockham's self-sorting transform. Seen from outside, a pass of extent R takes the sequences x[column + j n / R] of each row, transforms them, turns element i by its twiddle and
 * writes it to q + stride (R p + i), where column = q + stride p; within workgroup memory the same is done radix by radix. The source needs `load(row, i)` and `store(row, i, v)`.
 */
export function passSource(pass: Pass): string {
  const { columns, whole } = pass;
  const [extent, threads] = [extentOf(pass), threadsOf(pass)];
  const elements = extent * columns;
  const each = (body: string) => `for (var t = lane; t < ${elements}u; t += ${threads}u) {
    let c = ${whole ? `t / ${extent}u` : `t % ${columns}u`};
    let e = ${whole ? `t % ${extent}u` : `t / ${columns}u`};
    let sequence = first + c;
    let row = sequence / p.sequences;
    let column = sequence % p.sequences;
    ${body}
  }`;
  return `var<workgroup> tile: array<vec2<f32>, ${elements}>;
var<workgroup> roots: array<vec2<f32>, ${extent}>;
fn turn(v: vec2<f32>) -> vec2<f32> { return p.sign * vec2<f32>(-v.y, v.x); }
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group_of(group) * ${columns}u;
  for (var k = lane; k < ${extent}u; k += ${threads}u) { roots[k] = root(k, ${extent}u) * vec2<f32>(1.0, p.sign); }
  ${each(`var v = vec2<f32>(0.0);
    if (row < p.rows) { v = load(row, column + e * p.sequences); }
    tile[e * ${columns}u + c] = v;`)}
  workgroupBarrier();
  ${inner(pass, threads)}
  ${each(`if (row < p.rows) {
      let at = column / p.stride;
      var v = tile[e * ${columns}u + c];
      ${whole ? "" : "if (e * at > 0u) { v = times(v, root(e * at * p.stride, p.n) * vec2<f32>(1.0, p.sign)); }"}
      store(row, column % p.stride + p.stride * (${extent}u * at + e), v);
    }`)}
}
`;
}

/** The radices one after another: every invocation holds its results until all have read. */
function inner(pass: Pass, threads: number): string {
  const extent = extentOf(pass);
  let stride = 1;
  return pass.radices
    .map((radix, index) => {
      const place = { index, extent, columns: pass.columns, radix, stride, step: extent / radix };
      const outputs = radix === 4 || radix === 2 ? radix : 1;
      const units = (extent * pass.columns) / outputs;
      const turns = range(Math.ceil(units / threads));
      stride *= radix;
      const each = (body: (turn: number) => string) =>
        turns
          .map(
            (turn) =>
              `{ let t = lane + ${turn * threads}u; ${turn * threads + threads > units ? `if (t < ${units}u) ` : ""}{ ${body(turn)} } }`,
          )
          .join("\n  ");
      const held = (turn: number, i: number) => `h${stride}_${turn}_${i}`;
      return `${turns.flatMap((turn) => range(outputs).map((i) => `var ${held(turn, i)} = vec2<f32>(0.0);`)).join(" ")}
  ${each((turn) => (outputs === 1 ? summed(place, held(turn, 0)) : butterfly(place, (i) => held(turn, i))))}
  workgroupBarrier();
  ${each((turn) => written(place, outputs, (i) => held(turn, i)))}
  workgroupBarrier();`;
    })
    .join("\n  ");
}

interface Place {
  readonly index: number;
  readonly extent: number;
  readonly columns: number;
  readonly radix: number;
  readonly stride: number;
  readonly step: number;
}

const read = ({ columns, step }: Place, j: number) => `tile[(k + ${j * step}u) * ${columns}u + c]`;

function butterfly(place: Place, held: (i: number) => string): string {
  const { radix, stride, columns } = place;
  const head = `let c = t % ${columns}u; let k = t / ${columns}u; let w = k / ${stride}u * ${stride}u;`;
  const inputs = range(radix)
    .map((j) => `let x${j} = ${read(place, j)};`)
    .join(" ");
  if (radix === 2) return `${head} ${inputs} ${held(0)} = x0 + x1; ${held(1)} = times(x0 - x1, roots[w]);`;
  return `${head} ${inputs} let d = turn(x1 - x3);
    ${held(0)} = (x0 + x2) + (x1 + x3); ${held(1)} = times((x0 - x2) + d, roots[w]); ${held(2)} = times((x0 + x2) - (x1 + x3), roots[2u * w]); ${held(3)} = times((x0 - x2) - d, roots[3u * w]);`;
}

/** One output of a radix without a form of its own, its twiddle folded into its roots. The bound is a parameter, or compilers unroll the sum: lavapipe took 45 s for 31 terms. */
function summed({ index, extent, columns, radix, stride, step }: Place, held: string): string {
  return `let c = t % ${columns}u; let i = t / ${columns}u % ${radix}u; let k = t / ${columns * radix}u;
    var at = i * (k / ${stride}u * ${stride}u);
    for (var j = 0u; j < p.radix${index}; j++) { ${held} += times(tile[(k + j * ${step}u) * ${columns}u + c], roots[at]); at = (at + i * ${step}u) % ${extent}u; }`;
}

function written({ columns, radix, stride }: Place, outputs: number, held: (i: number) => string): string {
  const at = (i: string) => `tile[(k % ${stride}u + ${stride}u * (${radix}u * (k / ${stride}u) + ${i})) * ${columns}u + t % ${columns}u]`;
  if (outputs === 1) return `let k = t / ${columns * radix}u; ${at(`t / ${columns}u % ${radix}u`)} = ${held(0)};`;
  return `let k = t / ${columns}u; ${range(outputs)
    .map((i) => `${at(`${i}u`)} = ${held(i)};`)
    .join(" ")}`;
}
