import { addLayerNorm, addRmsNorm, layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { f32, u32 } from "../device/launch.ts";
import { type RowProgram, rowForm } from "../wgsl/rows.ts";
import { webgpuKernel } from "./kernel.ts";
import type { Place, Planner } from "./planner.ts";
import { runRows } from "./rows.ts";

type Maybe = Place | undefined;
const maybe = (p: Planner, name: string): Maybe => (p.has(name) ? p.input(name) : undefined);
const present = (record: Readonly<Record<string, Maybe>>): string[] => Object.keys(record).filter((name) => record[name]);

interface Forward {
  readonly reads: { readonly x: Place; readonly residual?: Maybe; readonly weight?: Maybe; readonly bias?: Maybe };
  readonly writes: { readonly y: Place; readonly sum?: Maybe };
  readonly statistics: { readonly mean?: Maybe; readonly inverse?: Maybe };
  readonly centered: boolean;
}

/** Mean and variance in two passes: E[x^2] - mean^2 would cancel where the mean is large. */
function forwardProgram({ reads, writes, statistics, centered }: Forward): RowProgram {
  const given = (name: keyof Forward["reads"], text: string) => (reads[name] ? text : "");
  return {
    loads: present(reads),
    stores: present(writes),
    helpers: `fn value(row: u32, k: u32) -> V { return x_row(row, k)${given("residual", " + residual_row(row, k)")}; }`,
    body: `
  var total = V(0.0);
  for (var k = lane; k < p.vectors; k += LANES) {
    let v = value(row, k);
    ${writes.sum ? "sum_set_row(row, k, v);" : ""}
    total += tail(k, ${centered ? "v" : "v * v"});
  }
  let average = row_sum(fold(total), lane) / f32(p.n);
  ${
    centered
      ? `let mean = average;
  var squares = V(0.0);
  for (var k = lane; k < p.vectors; k += LANES) {
    let d = value(row, k) - mean;
    squares += tail(k, d * d);
  }
  let inverse = 1.0 / sqrt(row_sum(fold(squares), lane) / f32(p.n) + p.eps);`
      : `let mean = 0.0;
  let inverse = 1.0 / sqrt(average + p.eps);`
  }
  if (lane == 0u) { ${statistics.mean ? "mean_put(row, mean);" : ""} ${statistics.inverse ? "inverse_put(row, inverse);" : ""} }
  for (var k = lane; k < p.vectors; k += LANES) {
    let d = (value(row, k) - mean) * inverse;
    y_set_row(row, k, d${given("weight", " * weight_row(0u, k)")}${given("bias", " + bias_row(0u, k)")});
  }`,
  };
}

function normalize(p: Planner, shape: readonly number[], eps: number, forward: Forward): void {
  if (sizeOf(shape) === 0) return;
  const n = shape.at(-1)!;
  const { reads, writes, statistics } = forward;
  const places = { reads, writes, single: { writes: statistics } };
  runRows(p, rowForm(p.caps.software, n), forwardProgram(forward), places, sizeOf(shape) / n, n, { eps: f32(eps) });
}

const statisticsOf = (p: Planner) => ({ mean: p.wanted("mean"), inverse: p.wanted("inverse") });
const layerInputs = (p: Planner) => ({ x: p.input("x"), weight: maybe(p, "weight"), bias: maybe(p, "bias") });
const rmsInputs = (p: Planner) => ({ x: p.input("x"), weight: maybe(p, "weight") });

const layerNormKernel = webgpuKernel(layerNorm, {
  plan: (p, { specs: { x }, attrs: { eps } }) =>
    normalize(p, x.shape, eps, { reads: layerInputs(p), writes: { y: p.output("y") }, statistics: statisticsOf(p), centered: true }),
});

const rmsNormKernel = webgpuKernel(rmsNorm, {
  plan: (p, { specs: { x }, attrs: { eps } }) =>
    normalize(p, x.shape, eps, {
      reads: rmsInputs(p),
      writes: { y: p.output("y") },
      statistics: { inverse: p.wanted("inverse") },
      centered: false,
    }),
});

const addLayerNormKernel = webgpuKernel(addLayerNorm, {
  plan: (p, { specs: { x }, attrs: { eps } }) =>
    normalize(p, x.shape, eps, {
      reads: { ...layerInputs(p), residual: p.input("residual") },
      writes: { y: p.output("y"), sum: p.output("sum") },
      statistics: statisticsOf(p),
      centered: true,
    }),
});

const addRmsNormKernel = webgpuKernel(addRmsNorm, {
  plan: (p, { specs: { x }, attrs: { eps } }) =>
    normalize(p, x.shape, eps, {
      reads: { ...rmsInputs(p), residual: p.input("residual") },
      writes: { y: p.output("y"), sum: p.output("sum") },
      statistics: { inverse: p.wanted("inverse") },
      centered: false,
    }),
});

interface Backward {
  readonly centered: boolean;
  readonly weighted: boolean;
  readonly summed: boolean;
}

/** A chunk of rows: dx, and the chunk's sums of dweight and dbias, each invocation adding to columns of its own. */
const backwardProgram = ({ centered, weighted, summed }: Backward): RowProgram => {
  const parts = centered ? 2 : 1;
  const gradients = centered ? ["dy * normal", "dy"] : ["dy * normal"];
  const read = `let normal = (x_row(r, k)${centered ? " - mean" : ""}) * inverse;
      let dy = dy_row(r, k);
      let g = dy${weighted ? " * weight_row(0u, k)" : ""};`;
  return {
    loads: ["x", "dy", ...(weighted ? ["weight"] : []), ...(summed ? ["dsum"] : []), "partial"],
    stores: ["dx", "partial"],
    body: `
  let first = row * p.chunk;
  for (var r = first; r < min(first + p.chunk, p.total); r++) {
    let inverse = inverse_at(r);
    ${centered ? "let mean = mean_at(r);" : ""}
    ${centered ? "var plain = V(0.0);" : ""}
    var along = V(0.0);
    for (var k = lane; k < p.vectors; k += LANES) {
      ${read}
      ${centered ? "plain += tail(k, g);" : ""}
      along += tail(k, g * normal);
    }
    let sums = row_sums(vec2<f32>(${centered ? "fold(plain)" : "0.0"}, fold(along)), lane) / f32(p.n);
    for (var k = lane; k < p.vectors; k += LANES) {
      ${read}
      dx_set_row(r, k, (g${centered ? " - sums.x" : ""} - normal * sums.y) * inverse${summed ? " + dsum_row(r, k)" : ""});
      ${gradients
        .map(
          (gradient, part) =>
            `{ var v = ${gradient}; if (r > first) { v += partial_row(row * ${parts}u + ${part}u, k); } partial_set_row(row * ${parts}u + ${part}u, k, v); }`,
        )
        .join("\n      ")}
    }
  }`,
  };
};

/** Adds the sums of the chunks: \`row\` is a vector of columns of one of the outputs. */
const partialsProgram = (outputs: readonly string[]): RowProgram => ({
  loads: ["partial"],
  stores: outputs,
  body: `
  let part = row / p.vectors;
  let k = row % p.vectors;
  var total = V(0.0);
  for (var c = lane; c < p.chunks; c += LANES) { total += partial_row(c * ${outputs.length}u + part, k); }
  let all = row_vector(total, lane);
  if (lane == 0u) { ${outputs.map((name, i) => `if (part == ${i}u) { ${name}_set_row(0u, k, all); }`).join(" ")} }`,
});

function normalizeBackward(p: Planner, shape: readonly number[], centered: boolean): void {
  const n = shape.at(-1)!;
  if (n === 0) return;
  const rows = sizeOf(shape) / n;
  const outputs = centered ? ["dweight", "dbias"] : ["dweight"];
  const chunk = Math.max(8, Math.ceil(rows / (p.caps.software ? 128 : 512)));
  const chunks = Math.ceil(rows / chunk);
  const [weight, dsum] = [maybe(p, "weight"), maybe(p, "dsum")];
  const partial = p.scratch(chunks * outputs.length * n);
  const form = rowForm(p.caps.software, n);
  const statistics = { inverse: p.input("inverse"), ...(centered && { mean: p.input("mean") }) };
  const reads = { x: p.input("x"), dy: p.input("dy"), weight, dsum };
  const places = { reads, writes: { dx: p.output("dx") }, modifies: { partial }, single: { reads: statistics } };
  const program = backwardProgram({ centered, weighted: weight !== undefined, summed: dsum !== undefined });
  runRows(p, form, program, places, chunks, n, { total: u32(rows), chunk: u32(chunk) });
  const sums = { reads: { partial }, writes: Object.fromEntries(outputs.map((name) => [name, p.output(name)])) };
  const adding = { ...form, lanes: p.caps.software ? 1 : 64 } as const;
  runRows(p, adding, partialsProgram(outputs), sums, outputs.length * Math.ceil(n / 4), n, { chunks: u32(chunks) });
}

export const normKernels = [
  layerNormKernel,
  rmsNormKernel,
  addLayerNormKernel,
  addRmsNormKernel,
  webgpuKernel(layerNormBackward, { plan: (p, { specs: { x } }) => normalizeBackward(p, x.shape, true) }),
  webgpuKernel(rmsNormBackward, { plan: (p, { specs: { x } }) => normalizeBackward(p, x.shape, false) }),
];
