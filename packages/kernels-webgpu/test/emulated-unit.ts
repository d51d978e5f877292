import type { MatrixUnit } from "../src/wgsl/gemm/matrix-unit.ts";

const lanes = 16;

/** A number that no compiler knows, lest lavapipe unroll every loop. */
const bound = (n: number) => `min(${n}u, p.m + ${n}u)`;

/**
 * A matrix unit in plain WGSL: what surrounds a unit runs on it where there is no real one. A sum is spread over the invocations of a subgroup; operands are read where they lie. A broken one takes b
 * turned round.
 */
export function emulatedUnit({ component, m, n, k }: Pick<MatrixUnit, "component" | "m" | "n" | "k">, broken = false): MatrixUnit {
  const own = (m * n) / lanes;
  const b = broken ? "j * b.y + t" : "t * b.y + j";
  return {
    ...{ name: `emulated ${component} ${m}x${n}x${k}`, component, m, n, k, lanes },
    enable: component === "f16" ? ["f16"] : [],
    code: `alias Sum = array<f32, ${own}>;
fn unit_multiply(a: vec2<u32>, b: vec2<u32>, sum: Sum, lane: u32) -> Sum {
  var c = sum;
  for (var e = 0u; e < ${bound(own)}; e++) {
    let i = (e * ${lanes}u + lane) / ${n}u;
    let j = (e * ${lanes}u + lane) % ${n}u;
    for (var t = 0u; t < ${bound(k)}; t++) { c[e] += f32(tile_a[a.x + t * a.y + i]) * f32(tile_b[b.x + ${b}]); }
  }
  return c;
}
fn unit_store(sum: Sum, at: u32, stride: u32, lane: u32) {
  var c = sum;
  for (var e = 0u; e < ${bound(own)}; e++) {
    let u = e * ${lanes}u + lane;
    tile_c[at + u / ${n}u * stride + u % ${n}u] = c[e];
  }
}`,
    ...{ parameter: "", subgroup: `(index / ${lanes}u)`, sum: "Sum" },
    left: (at, stride) => `vec2<u32>(${at}, ${stride}u)`,
    right: (at, stride) => `vec2<u32>(${at}, ${stride}u)`,
    multiplyAdd: (a, b, c) => `unit_multiply(${a}, ${b}, ${c}, index % ${lanes}u)`,
    store: (c, at, stride) => `unit_store(${c}, ${at}, ${stride}u, index % ${lanes}u);`,
  };
}
