import { f32, u32 } from "../../device/launch.ts";
import type { Planner } from "../planner.ts";
import { planes, type Side, type Transform, transform } from "./transform.ts";

/** exp(-sign pi i k^2 / length), the square reduced to the circle without overflow. */
const chirpSource = `
fn square(k: u32) -> u32 {
  let circle = 2u * p.length;
  if (k < 65536u) { return k * k % circle; }
  var sum = 0u;
  for (var bit = 32u - countLeadingZeros(k); bit > 0u; bit--) {
    sum = (sum + sum) % circle;
    if (((k >> (bit - 1u)) & 1u) == 1u) { sum = (sum + k) % circle; }
  }
  return sum;
}
fn chirp(k: u32) -> vec2<f32> { return root(square(k), 2u * p.length) * vec2<f32>(1.0, -p.turn); }
fn unchirp(v: vec2<f32>, k: u32) -> vec2<f32> { return times(v, chirp(k) * vec2<f32>(1.0, -1.0)); }
`;

/**
 * A transform of any length as a convolution of a power of two (Bluestein 1970): with 2 j k = j^2 + k^2 - (k - j)^2, y_k = w_k sum over j of x_j w_j conj(w_(k-j)). `load` and `store` of the
 * request are named `given` and `result` here.
 */
export function bluestein(p: Planner, { rows, n, sign, load, store }: Transform): void {
  const m = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const params = { length: u32(n), turn: f32(sign) };
  const filter = p.scratch(2 * m);
  const spectrum = p.scratch(2 * rows * m);
  const chirps: Side = {
    code: `${chirpSource}fn load(row: u32, i: u32) -> vec2<f32> {
  let k = min(i, p.n - i);
  return select(vec2<f32>(0.0), chirp(k), k < p.length);
}`,
    uses: {},
    params,
  };
  transform(p, { rows: 1, n: m, sign: -1, load: chirps, store: planes("store", filter, m) });
  const spread: Side = {
    code: `${load.code}${chirpSource}fn load(row: u32, i: u32) -> vec2<f32> {
  if (i >= p.length) { return vec2<f32>(0.0); }
  return unchirp(given(row, i), i);
}`,
    uses: load.uses,
    params,
  };
  transform(p, { rows, n: m, sign: -1, load: spread, store: planes("store", spectrum, rows * m) });
  const filtered: Side = {
    code: `fn load(row: u32, i: u32) -> vec2<f32> {
  let at = row * p.n + i;
  return times(vec2<f32>(mid_at(at), mid_at(p.whole + at)), vec2<f32>(filter_at(i), filter_at(p.n + i)));
}`,
    uses: { mid: spectrum, filter },
    params: { whole: u32(rows * m) },
  };
  const cut: Side = {
    code: `${store.code}${chirpSource}fn store(row: u32, i: u32, v: vec2<f32>) {
  if (i < p.length) { result(row, i, unchirp(v, i) * (1.0 / f32(p.n))); }
}`,
    uses: store.uses,
    params,
  };
  transform(p, { rows, n: m, sign: 1, load: filtered, store: cut });
}
