import { afterAll, expect, test } from "vitest";
import { elementary } from "../src/abi.ts";
import { Bench, values } from "./harness.ts";

const benches = [new Bench({ threads: 1 }), new Bench({ threads: 1, build: "mul" })];
afterAll(() => {
  for (const bench of benches) bench.close();
});

const word = new DataView(new ArrayBuffer(4));
/** The distance of an f32 from a real number, in units of the last place of the number. */
function ulps(actual: number, expected: number): number {
  if (Object.is(actual, Math.fround(expected)) || (Number.isNaN(actual) && Number.isNaN(expected))) return 0;
  word.setFloat32(0, Math.abs(Math.fround(expected)));
  const exponent = Math.max(1, word.getUint32(0) >>> 23);
  return Math.abs(actual - expected) / 2 ** (exponent - 150);
}

/** erf to f64 accuracy: the series near 0, the continued fraction far from it. */
function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 2.5) {
    let [sum, term] = [x, x];
    for (let n = 1; n < 100; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 80; n > 0; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / ((size + fraction) * Math.sqrt(Math.PI)));
}

const exact = { exp: Math.exp, log: Math.log, tanh: Math.tanh, erf, sigmoid: (x: number) => 1 / (1 + Math.exp(-x)) };
/** Errors allowed in units of the last place, over the inputs below. */
const allowed = { exp: 1.2, log: 1, tanh: 2.5, erf: 4, sigmoid: 2.5 };
const special = [
  0,
  -0,
  1,
  -1,
  1e-30,
  -1e-30,
  1e-7,
  88.5,
  -88.5,
  1e30,
  -1e30,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.NaN,
];
const inputs = {
  exp: [...values(4000, 1, 87), ...values(1000, 2, 1), ...special, -100, -103, 88.7, 88.8],
  log: [...values(4000, 1, 1e3).map(Math.abs), ...values(1000, 2).map((x) => 2 ** (x * 120)), ...special],
  tanh: [...values(4000, 1, 10), ...values(1000, 2, 0.7), ...special],
  erf: [...values(4000, 1, 5), ...values(1000, 2, 1), ...special],
  sigmoid: [...values(4000, 1, 80), ...values(1000, 2, 3), ...special],
};

for (const name of Object.keys(exact) as (keyof typeof exact)[])
  test(`${name} to ${allowed[name]} units of the last place, in both builds`, () => {
    const x = Float32Array.from(inputs[name]);
    for (const bench of benches) {
      const y = bench.out(x.length);
      bench.run("elementary", { y, x: bench.put(x), count: x.length, chunk: 1000, function: elementary[name] }, Math.ceil(x.length / 1000));
      let worst = { error: 0, x: 0, y: 0 };
      bench.f32(y, x.length).forEach((value, i) => {
        // Below the smallest normal number sigmoid is flushed to 0.
        const expected = exact[name](x[i]!);
        const tiny = name === "sigmoid" && expected < 2e-38 && value >= 0 && value < 2e-38;
        const error = tiny ? 0 : ulps(value, expected);
        if (!(error <= worst.error)) worst = { error, x: x[i]!, y: value };
      });
      expect(worst.error, `at ${worst.x}: ${worst.y}`).toBeLessThanOrEqual(allowed[name]);
    }
  });
