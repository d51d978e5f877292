import type { Tiling } from "./tiles.ts";

/** Invocations of a workgroup in each direction. */
export const side = 8;

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** How much of the sum a workgroup loads at once: one 4 x 4 block of each operand an invocation. */
export const depthOf = (blocks: number): number => (4 * side) / blocks;

/** Where the matrices of a batch begin; a line of workgroups may go on beyond the last batch. */
const bases = (batchRank: number) => `let batch = rest;
  var baseA = p.a_offset;
  var baseB = p.b_offset;
  ${range(batchRank)
    .map((axis) => batchRank - 1 - axis)
    .map(
      (axis) => `{ let i = rest % p.batch${axis}; rest /= p.batch${axis}; baseA += i * p.a_batch${axis}; baseB += i * p.b_batch${axis}; }`,
    )
    .join("\n  ")}`;

/** What all products share: which square of which batch, and which part of the sum, a workgroup makes. */
const place = (blocks: number, batchRank: number, split: boolean) => `
  let span = ${4 * side * blocks}u;
  let tilesN = (p.n + span - 1u) / span;
  let tilesM = (p.m + span - 1u) / span;
  var rest = group_of(group);
  let tileN = rest % tilesN; rest /= tilesN;
  let tileM = rest % tilesM; rest /= tilesM;
  ${split ? "let part = rest % p.split; rest /= p.split; let begin = part * p.chunk; let end = min(p.k, begin + p.chunk);" : "let begin = 0u; let end = p.k;"}
  ${bases(batchRank)}
  let tx = lane % ${side}u;
  let ty = lane / ${side}u;`;

/** A square of 4 x 4 results, times a block of each operand. */
const multiplied = (bi: number, bj: number) =>
  range(4)
    .map(
      (r) =>
        `acc${bi}${bj}${r} = fma(vec4<f32>(a${bi}[${r}].w), b${bj}[3], fma(vec4<f32>(a${bi}[${r}].z), b${bj}[2], fma(vec4<f32>(a${bi}[${r}].y), b${bj}[1], fma(vec4<f32>(a${bi}[${r}].x), b${bj}[0], acc${bi}${bj}${r}))));`,
    )
    .join("\n      ");

const accumulators = (blocks: number) =>
  range(blocks)
    .flatMap((bi) => range(blocks).flatMap((bj) => range(4).map((r) => `var acc${bi}${bj}${r} = vec4<f32>(0.0);`)))
    .join(" ");

const stores = (blocks: number, split: boolean) =>
  range(blocks)
    .flatMap((bi) => range(blocks).flatMap((bj) => range(4).map((r) => ({ bi, bj, r }))))
    .map(({ bi, bj, r }) => {
      const [m, n] = [`m${bi} + ${r}u`, `n${bj}`];
      const result = split ? "((batch * p.split + part) * p.m" : "(batch * p.m";
      return `if (batch < p.batches && ${m} < p.m && ${n} < p.n) { store(${result} + ${m}) * p.n + ${n}, ${n}, acc${bi}${bj}${r}); }`;
    })
    .join("\n  ");

const begin = `@compute @workgroup_size(${side * side})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {`;

/** Every invocation reads its own blocks: no workgroup memory, no barriers. */
export function directSource(batchRank: number): string {
  return `${begin}${place(1, batchRank, false)}
  let m0 = tileM * span + ty * 4u;
  let n0 = tileN * span + tx * 4u;
  if (batch >= p.batches || m0 >= p.m || n0 >= p.n) { return; }
  ${accumulators(1)}
  for (var k = begin; k < end; k += 4u) {
    let a0 = a_block(m0, k, baseA);
    let b0 = b_block(k, n0, baseB);
      ${multiplied(0, 0)}
  }
  ${stores(1, false)}
}
`;
}

/** A workgroup loads a strip of each operand into its memory, one 4 x 4 block an invocation, and every invocation multiplies from there. */
export function sharedSource({ blocks, split }: Tiling, batchRank: number): string {
  const width = side * blocks;
  const depth = depthOf(blocks);
  return `var<workgroup> tileA: array<vec4<f32>, ${depth * width}>;
var<workgroup> tileB: array<vec4<f32>, ${depth * width}>;
${begin}${place(blocks, batchRank, split > 1)}
  ${range(blocks)
    .map((b) => `let m${b} = tileM * span + ${b * side * 4}u + ty * 4u; let n${b} = tileN * span + ${b * side * 4}u + tx * 4u;`)
    .join(" ")}
  // Neighbouring invocations load neighbouring blocks of a row where rows are contiguous.
  let loadK = (lane % ${depth / 4}u) * 4u;
  let loadM = (lane / ${depth / 4}u) * 4u;
  let loadN = (lane % ${width}u) * 4u;
  let loadR = (lane / ${width}u) * 4u;
  ${accumulators(blocks)}
  for (var k = begin; k < end; k += ${depth}u) {
    let a = transpose(a_block(tileM * span + loadM, k + loadK, baseA));
    let b = b_block(k + loadR, tileN * span + loadN, baseB);
    workgroupBarrier();
    ${range(4)
      .map((i) => `tileA[(loadK + ${i}u) * ${width}u + loadM / 4u] = a[${i}]; tileB[(loadR + ${i}u) * ${width}u + loadN / 4u] = b[${i}];`)
      .join("\n    ")}
    workgroupBarrier();
    for (var i = 0u; i < ${depth}u; i++) {
      ${range(blocks)
        .map((b) => `let a${b} = tileA[i * ${width}u + ${b * side}u + ty]; let b${b} = tileB[i * ${width}u + ${b * side}u + tx];`)
        .join("\n      ")}
      ${range(blocks)
        .flatMap((bi) =>
          range(blocks).flatMap((bj) =>
            range(4).map((r) => `acc${bi}${bj}${r} = fma(vec4<f32>(a${bi}[${r}]), b${bj}, acc${bi}${bj}${r});`),
          ),
        )
        .join("\n      ")}
    }
  }
  ${stores(blocks, split > 1)}
}
`;
}

/** A few rows times a matrix: a workgroup makes four neighbouring results of one row, its lanes sharing out the sum. */
export function vectorSource(batchRank: number): string {
  return `var<workgroup> partial: array<vec4<f32>, ${side * side}>;
${begin}
  let tilesN = (p.n + 3u) / 4u;
  var rest = group_of(group);
  let n0 = rest % tilesN * 4u; rest /= tilesN;
  let m0 = rest % p.m; rest /= p.m;
  ${bases(batchRank)}
  let inside = batch < p.batches;
  var sum = vec4<f32>(0.0);
  if (inside) {
    for (var k = lane * 4u; k < p.k; k += ${4 * side * side}u) {
      let a = a_block(m0, k, baseA)[0];
      let b = b_block(k, n0, baseB);
      sum = fma(vec4<f32>(a.w), b[3], fma(vec4<f32>(a.z), b[2], fma(vec4<f32>(a.y), b[1], fma(vec4<f32>(a.x), b[0], sum))));
    }
  }
  partial[lane] = sum;
  workgroupBarrier();
  for (var step = ${(side * side) / 2}u; step > 0u; step /= 2u) {
    if (lane < step) { partial[lane] += partial[lane + step]; }
    workgroupBarrier();
  }
  if (inside && lane == 0u) { store((batch * p.m + m0) * p.n + n0, n0, partial[0]); }
}
`;
}

/** Adds the parts of a split sum, in order, and finishes them. */
export const mergeSource = `@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let rowFours = (p.n + 3u) / 4u;
  let at = group_of(group) * 64u + lane;
  let row = at / rowFours;
  if (row >= p.rows) { return; }
  let n = at % rowFours * 4u;
  let batch = row / p.m;
  var sum = vec4<f32>(0.0);
  for (var part = 0u; part < p.split; part++) {
    let first = ((batch * p.split + part) * p.m + row % p.m) * p.n + n;
    for (var i = 0u; i < 4u; i++) { if (n + i < p.n) { sum[i] += parts_at(first + i); } }
  }
  store(row * p.n + n, n, sum);
}
`;
