import { Generator, randn, reference, setDefaultDevice, type Tensor } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, expect, test } from "vitest";
import { SlidingKvCache } from "../src/index.ts";
import { everything, heads, Pair } from "./cached.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 3e-6, rtol: 2e-5 };
const drawn = (shape: readonly number[]) => randn([...shape], { generator: new Generator({ seed: 2, device }) });
const span = (x: Tensor, from: number, to: number): Tensor => x.slice(1, from, to);

test("memory goes by the window, however long the text", async () => {
  const cache = new SlidingKvCache({ batch: 1, window: 4, ...heads });
  expect(cache.bytes).toBe(2 * 2 * 2 * 4 * 4 * 4);
  expect(cache.capacity).toBe(Number.POSITIVE_INFINITY);
  const model = everything(device, 4);
  const x = drawn([1, 60, 8]);
  model.cached(span(x, 0, 40), cache);
  const y = model.cached(span(x, 40, 41), cache);
  await expect(y).toBeCloseToTensor(span(model.whole(x), 40, 41), close);
  expect(await cache.positions(2).array()).toEqual([[41, 42]]);
});

test("a query sees as many keys as the window, itself included", async () => {
  const model = everything(device, 4);
  const x = drawn([1, 12, 8]);
  // Two layers reach back 3 positions each: the last of 7 is the last of any longer text.
  await expect(span(model.whole(span(x, 5, 12)), 6, 7)).toBeCloseToTensor(span(model.whole(x), 11, 12), close);
  const short = span(model.whole(span(x, 6, 12)), 5, 6);
  await expect(expect(short).toBeCloseToTensor(span(model.whole(x), 11, 12), close)).rejects.toThrow();
});

test("what was written over cannot be gone back to", async () => {
  const model = everything(device, 4);
  const x = drawn([1, 12, 8]);
  const whole = model.whole(x);
  const cache = new SlidingKvCache({ batch: 1, window: 4, capacity: 12, ...heads });
  model.cached(span(x, 0, 4), cache);
  cache.truncate(1);
  await expect(model.cached(span(x, 1, 4), cache)).toBeCloseToTensor(span(whole, 1, 4), close);
  model.cached(span(x, 4, 9), cache);
  expect(() => cache.truncate(7)).toThrow(
    "SlidingKvCache.truncate: 7 positions need what came before them, but of the 9 that were filled the last 4 are kept.",
  );
  cache.truncate(8);
  // Back again by one from there would be two: the place holds what came first.
  expect(() => cache.truncate(7)).toThrow("of the 9 that were filled the last 4 are kept");
  expect(() => cache.fork().truncate(7)).toThrow("of the 9 that were filled the last 4 are kept");
  await expect(model.cached(span(x, 8, 10), cache)).toBeCloseToTensor(span(whole, 8, 10), close);
  expect(() => model.cached(drawn([1, 3, 8]), cache)).toThrow("SlidingKvCache: 3 more positions do not fit: 10 of 12 are filled");
  cache.reset();
  model.cached(span(x, 0, 3), cache);
  cache.truncate(0);
});

test("a layer that sees more than is kept is refused", () => {
  const cache = new SlidingKvCache({ batch: 1, window: 4, ...heads });
  expect(() => new Pair(device).cached(drawn([1, 2, 8]), cache)).toThrow(
    "SlidingKvCache: 4 positions are kept, but layer 0 looks at all of them. Give it pattern: window(3), or make the cache with a larger window.",
  );
  expect(() => everything(device, 5).cached(drawn([1, 2, 8]), cache)).toThrow("4 positions are kept, but layer 0 looks at 5 of them");
  expect(() => new SlidingKvCache({ batch: 1, window: 0, ...heads })).toThrow("SlidingKvCache: window must be a positive integer, got 0");
});
