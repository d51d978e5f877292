import { Generator, randn, reference, setDefaultDevice, type Tensor, tensor } from "@x/tensor";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, expect, test } from "vitest";
import { PagedKvCache, PagePool } from "../src/index.ts";
import { heads, Pair } from "./cached.ts";

expect.extend(tensorMatchers);
const device = reference();
beforeAll(() => setDefaultDevice(device));
const close = { atol: 3e-6, rtol: 2e-5 };

const pool = (pages: number) => new PagePool({ pages, pageSize: 4, ...heads });
const drawn = (shape: readonly number[], seed = 1) => randn([...shape], { generator: new Generator({ seed, device }) });
const span = (x: Tensor, from: number, to: number): Tensor => x.slice(1, from, to);

test("pages are taken as positions fill, and given back", () => {
  const shared = pool(20);
  const model = new Pair(device);
  const cache = new PagedKvCache({ batch: 2, capacity: 100, pool: shared });
  expect([shared.free, cache.bytes]).toEqual([20, 0]);
  model.cached(drawn([2, 7, 8]), cache);
  expect(shared.free).toBe(16);
  // Keys and values, two layers, two heads of four numbers: 128 bytes a position.
  expect([cache.bytes, shared.pageBytes, shared.bytes]).toEqual([4 * 4 * 128, 4 * 128, 21 * 4 * 128]);
  model.cached(drawn([2, 1, 8]), cache);
  // Position 8 is held ready for a compiled step.
  expect(shared.free).toBe(14);
  cache.truncate(4);
  expect(shared.free).toBe(16);
  cache.truncate(3);
  expect(shared.free).toBe(18);
  cache.reset();
  expect(shared.free).toBe(20);
  model.cached(drawn([2, 5, 8]), cache);
  cache.dispose();
  expect(shared.free).toBe(20);
});

test("forks and rows share what is filled, and copy one page when they write", async () => {
  const shared = pool(20);
  const model = new Pair(device);
  const x = drawn([1, 12, 8]);
  const whole = model.whole(x);
  const prompt = new PagedKvCache({ batch: 1, capacity: 12, pool: shared });
  model.cached(span(x, 0, 9), prompt);
  expect(shared.free).toBe(17);
  const beams = prompt.select([0, 0, 0]);
  // Two full pages are shared by all, the third is each one's own.
  expect(shared.free).toBe(14);
  expect(beams.bytes).toBe(5 * shared.pageBytes);
  model.cached(drawn([3, 2, 8], 4), beams);
  beams.gather([2, 2, 2]);
  expect(shared.free).toBe(14);
  prompt.dispose();
  expect(shared.free).toBe(15);
  beams.dispose();
  expect(shared.free).toBe(20);
  // What was shared is as it was: the first row of a selection goes on from the prompt.
  const again = new PagedKvCache({ batch: 1, capacity: 12, pool: shared });
  model.cached(span(x, 0, 9), again);
  const others = again.select([0, 0]);
  model.cached(drawn([2, 3, 8], 5), others);
  await expect(model.cached(span(x, 9, 12), again)).toBeCloseToTensor(span(whole, 9, 12), close);
});

test("a pool that is full says how many pages are needed, before anything is written", async () => {
  const shared = pool(5);
  const model = new Pair(device);
  const x = drawn([2, 12, 8]);
  const cache = new PagedKvCache({ batch: 2, capacity: 12, pool: shared });
  model.cached(span(x, 0, 7), cache);
  expect(() => model.cached(span(x, 7, 10), cache)).toThrow(
    "PagedKvCache: positions 7 to 9 of 2 rows need 2 more pages of 4, but of the pool's 5 only 1 are free.",
  );
  expect([...(await cache.lengths.data())]).toEqual([7, 7]);
  expect(() => cache.fork()).toThrow(
    "PagedKvCache: positions 7 to 7 of 2 rows need 2 more pages of 4, but of the pool's 5 only 1 are free.",
  );
  expect(shared.free).toBe(1);
  await expect(model.cached(span(x, 7, 8), cache)).toBeCloseToTensor(span(model.whole(span(x, 0, 8)), 7, 8), close);
  // A compiled step that had no page wrote to nobody's, and the host hears of it.
  expect(() => cache.counted(1)).toThrow(
    "PagedKvCache: positions 8 to 8 of 2 rows need 2 more pages of 4, but of the pool's 5 only 1 are free.",
  );
});

test("a compiled step of several positions needs its pages beforehand", () => {
  const cache = new PagedKvCache({ batch: 1, capacity: 12, pool: pool(5) });
  cache.reserve(5);
  cache.counted(5);
  cache.counted(1);
  expect(() => cache.counted(3)).toThrow(
    "a compiled step filled positions 6 to 8, but pages were ready for 7. Call reserve(3) before such a step.",
  );
  expect(() => cache.reserve(9)).toThrow("PagedKvCache: 9 more positions do not fit: 6 of 12 are filled");
});

test("a row that was cut back to a page which others hold writes to a copy of it", async () => {
  const shared = pool(12);
  const model = new Pair(device);
  const x = drawn([1, 10, 8]);
  const whole = model.whole(x);
  const cache = new PagedKvCache({ batch: 1, capacity: 12, pool: shared });
  model.cached(span(x, 0, 6), cache);
  const fork = cache.fork();
  fork.truncate(2);
  model.cached(drawn([1, 3, 8], 6), fork);
  await expect(model.cached(span(x, 6, 10), cache)).toBeCloseToTensor(span(whole, 6, 10), close);
  fork.truncate(2);
  await expect(model.cached(span(x, 2, 5), fork)).toBeCloseToTensor(span(whole, 2, 5), close);
});

test("misuse is refused in words", () => {
  const cache = new PagedKvCache({ batch: 2, capacity: 12, pool: pool(5) });
  expect(() => cache.gather(tensor(Int32Array.of(0, 1)))).toThrow("PagedKvCache.gather: rows must be numbers");
  expect(() => cache.gather([0, 2])).toThrow("PagedKvCache.gather: rows must be from 0 to 1, got 2.");
  expect(() => new PagePool({ pages: 0, ...heads })).toThrow("PagePool: pages must be a positive integer, got 0");
  const one = new PagePool({ pages: 1, ...heads });
  one.take();
  expect(() => one.take()).toThrow("PagePool: all 1 pages of 16 positions are held.");
});
