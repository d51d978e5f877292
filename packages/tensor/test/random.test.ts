import { beforeEach, describe, expect, test } from "vitest";
import {
  compile,
  type Device,
  Generator,
  rand,
  randn,
  randomBits,
  reference,
  scope,
  setDefaultDevice,
  type Tensor,
  withGenerator,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const numbers = async (t: Tensor) => [...(await t.data())];

test("a draw is Philox of key, step, ordinal and element", async () => {
  const g = new Generator({ seed: 2 ** 33 + 5 });
  const [a, b] = g.step(() => [g.bits([7]), g.bits([2, 3])]);
  const key = [5, 2, 0, 0];
  expect(await numbers(a)).toEqual(Array.from({ length: 7 }, (_, i) => randomBits(key, 0, i)));
  expect(await numbers(b)).toEqual(Array.from({ length: 6 }, (_, i) => randomBits(key, 1, i)));
});

test("the same stream however it is sliced, reshaped or fused", async () => {
  const g = new Generator({ seed: 1 });
  const draw = (shape: number[]) => g.step(() => g.bits(shape));
  const whole = await numbers(draw([24]));
  expect(await numbers(draw([4, 6]))).toEqual(whole);
  expect(await numbers(draw([2, 3, 4]).reshape([24]).slice(0, 5, 20))).toEqual(whole.slice(5, 20));
  // A draw broadcast against more elements keeps one number for each of its own.
  const row = draw([6]);
  const spread = row
    .cast("f32")
    .mul(0)
    .add(row.cast("f32"))
    .add(draw([4, 6]).cast("f32").mul(0));
  expect((await numbers(spread)).slice(0, 6)).toEqual((await numbers(spread)).slice(6, 12));
});

test("steps repeat nothing, and begin their ordinals anew", async () => {
  const g = new Generator({ seed: 3 });
  const once = () =>
    g.step(() => {
      const drawn = g.bits([4]).copy();
      g.advance();
      return drawn;
    });
  const [a, b] = [await numbers(once()), await numbers(once())];
  expect(a).toEqual([0, 1, 2, 3].map((i) => randomBits([3, 0, 0, 0], 0, i)));
  expect(b).toEqual([0, 1, 2, 3].map((i) => randomBits([3, 0, 1, 0], 0, i)));
});

test("the step counter carries into its high word", async () => {
  const g = new Generator({ seed: 1 });
  g.restore({ ...(await g.state()), key: [1, 0, 0xffffffff, 4] });
  g.advance();
  expect((await g.state()).key).toEqual([1, 0, 0, 5]);
});

test("state and restore give the same numbers again, host draws too", async () => {
  const g = new Generator({ seed: 9 });
  const use = async () => {
    const host = [...g.hostNormal(3)];
    const outside = await numbers(g.normal([3]));
    const step = await numbers(
      g.step(() => {
        const drawn = g.uniform([3]).copy();
        g.advance();
        return drawn;
      }),
    );
    return [host, outside, step];
  };
  await use();
  const state = await g.state();
  const expected = await use();
  expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  const other = new Generator({ seed: 9 });
  other.restore(state);
  g.restore(state);
  expect(await use()).toEqual(expected);
  expect((await other.state()).key).toEqual(state.key);
});

test("a state of another seed is refused, or taken over whole", async () => {
  const [a, b] = [new Generator({ seed: 1 }), new Generator({ seed: 2 })];
  a.hostUniform(3);
  const state = await a.state();
  const expected = [...a.hostUniform(3)];
  b.restore(state);
  expect([...b.hostUniform(3)]).toEqual(expected);
});

describe("statistics", () => {
  const moments = (x: readonly number[]) => {
    const mean = x.reduce((s, v) => s + v, 0) / x.length;
    return { mean, deviation: Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / x.length) };
  };
  test("uniform numbers lie on [0, 1), evenly", async () => {
    const x = await numbers(device.generator.uniform([20000]));
    expect(Math.min(...x)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...x)).toBeLessThan(1);
    const { mean, deviation } = moments(x);
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(deviation - Math.sqrt(1 / 12))).toBeLessThan(0.005);
    const counts = new Array<number>(10).fill(0);
    for (const v of x) counts[Math.floor(v * 10)]!++;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });
  test("normal numbers have mean 0, deviation 1, and the tails they should", async () => {
    for (const x of [await numbers(device.generator.normal([20000])), [...device.generator.hostNormal(20000)]]) {
      const { mean, deviation } = moments(x);
      expect(Math.abs(mean)).toBeLessThan(0.03);
      expect(Math.abs(deviation - 1)).toBeLessThan(0.03);
      expect(Math.abs(x.filter((v) => Math.abs(v) > 2).length / x.length - 0.0455)).toBeLessThan(0.008);
      expect(x.every(Number.isFinite)).toBe(true);
    }
  });
});

test("randn and rand draw from the generator that is current, the same on every device", async () => {
  const draw = async (on: Device) => [await numbers(randn([2, 3], { device: on })), await numbers(rand([4], { device: on }))];
  expect(await draw(reference({ seed: 7 }))).toEqual(await draw(reference({ seed: 7 })));
  expect(await draw(reference({ seed: 8 }))).not.toEqual(await draw(reference({ seed: 7 })));
  const g = new Generator({ seed: 7 });
  expect(await numbers(withGenerator(g, () => randn([2, 3])))).toEqual(await numbers(randn([2, 3], { device: reference({ seed: 7 }) })));
});

test("a compiled step draws anew at each call, as eager does", async () => {
  const run = async (eager: boolean) => {
    const mine = reference({ seed: 4 });
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => mine.generator.uniform([3]).mul(x), { device: mine, eager });
    const calls: number[][] = [];
    for (let i = 0; i < 4; i++) calls.push(await numbers(scope(() => step({ x: 2 }))));
    return { calls, key: (await mine.generator.state()).key };
  };
  const compiled = await run(false);
  expect(new Set(compiled.calls.map(String)).size).toBe(4);
  expect(compiled).toEqual(await run(true));
  expect(compiled.key[2]).toBe(4);
});
