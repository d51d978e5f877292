import { wasm } from "@x/kernels-wasm";
import { compile, type Device, Generator, randn, reference, scope, Tensor, tensor, withDevice } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { adapterEntry } from "../../kernels-webgpu/test/adapter.ts";
import { type Cached, everything, inBlocks, type Kind, kinds, Pair, pattern, sees, XLPair } from "./cached.ts";

expect.extend(tensorMatchers);

type Model = (device: Device) => Cached;
const windows: Model = (device) => everything(device, sees);
const distances: Model = (device) => new XLPair(device);
const distancesInBlocks: Model = (device) => new XLPair(device, { sameLength: 8, pattern: pattern() });
/** All kinds serve windows; those that keep all positions, the rest too. */
const served = Object.entries(kinds).flatMap(([name, kind]): [string, string, Kind, Model][] => [
  [name, "a window", kind, windows],
  ...(name.startsWith("sliding") ? [] : [[name, "blocks", kind, inBlocks] as [string, string, Kind, Model]]),
]);
const { contiguous, quantized, "paged, 3 positions a page": paged } = kinds as Record<string, Kind>;
served.push(
  ["contiguous", "distances in the products", contiguous!, distances],
  ["contiguous", "distances, the same length, blocks", contiguous!, distancesInBlocks],
);
served.push(["paged", "distances in the products", paged!, distances], ["quantized", "distances in the products", quantized!, distances]);

const span = (x: Tensor, from: number, to: number): Tensor => x.slice(1, from, to);

await describeDevices(
  [
    { name: "reference", required: true, open: () => reference() },
    { name: "wasm", required: true, open: () => wasm({ threads: 2, strict: true }) },
    adapterEntry("swiftshader", { strict: true }),
  ],
  (device: Device) => {
    const drawn = (shape: readonly number[], seed = 7) => randn([...shape], { generator: new Generator({ seed, device }) });
    const here = (body: () => Promise<void>) => () => withDevice(device, body);

    describe.each(served)("%s, %s", (_, __, { make, close }, modelOn) => {
      const model = modelOn(device);

      /** Runs x in chunks and compares each with the whole sequence's. */
      async function inChunks(x: Tensor, whole: Tensor, sizes: readonly number[]): Promise<void> {
        const cache = make(x.shape[0]!, 24, device);
        let at = 0;
        for (const size of sizes) {
          const end = Math.min(x.shape[1]!, at + size);
          if (end > at) await expect(model.cached(span(x, at, end), cache)).toBeCloseToTensor(span(whole, at, end), close);
          at = end;
        }
        expect(cache.length).toBe(at);
        cache.dispose();
      }

      test.each([
        [[3, 5, 1, 1, 1, 1]],
        [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
        [[9, 1, 1, 2, 1]],
        [[1, 7, 4, 1]],
        [[4, 4, 4, 1]],
        [[13]],
      ])("chunks %j over wraps and ends of pages are the whole sequence", (sizes) =>
        withDevice(device, async () => {
          const x = drawn([2, 13, 8]);
          await inChunks(x, model.whole(x), sizes);
        }),
      );

      test.each([[[3, 6, 7, 10, 11, 12]], [[8, 9, 12]]])(
        "left-padded rows give at every step what they give alone, read up to %j",
        (ends) =>
          withDevice(device, async () => {
            const padding = [5, 0, 1];
            const rows = padding.map((count, i) => drawn([1, 12 - count, 8], i));
            const x = Tensor.concat(
              rows.map((row, i) => Tensor.concat([drawn([1, padding[i]!, 8], 9 + i), row], 1)),
              0,
            );
            const cache = make(3, 12, device);
            cache.reset(padding);
            for (const [at, to] of ends.entries()) {
              const from = ends[at - 1] ?? 0;
              const y = model.cached(span(x, from, to), cache);
              expect([...(await y.data())].every(Number.isFinite)).toBe(true);
              for (const [i, count] of padding.entries()) {
                const start = Math.max(from, count);
                if (start >= to) continue;
                const alone = span(model.whole(rows[i]!), start - count, to - count);
                await expect(y.slice(0, i, i + 1).slice(1, start - from, to - from)).toBeCloseToTensor(alone, close);
              }
            }
            cache.dispose();
          }),
      );

      test(
        "compiled steps go on where an eager prompt ended, past every boundary, and fork, gather and reset between them",
        here(async () => {
          const x = drawn([2, 16, 8]);
          const whole = model.whole(x);
          const cache = make(2, 17, device);
          const step = compile(({ x }: { x: Tensor }) => model.cached(x, cache), { device });
          const steps = async (x: Tensor, whole: Tensor, from: number, to: number) => {
            for (let at = from; at < to; at++) {
              const y = step({ x: span(x, at, at + 1) });
              cache.counted(1);
              await expect(y).toBeCloseToTensor(span(whole, at, at + 1), close);
            }
          };
          model.cached(span(x, 0, 3), cache);
          await steps(x, whole, 3, 8);
          const fork = cache.fork();
          cache.gather(Int32Array.of(1, 1));
          const second = x.slice(0, 1, 2).expand([2, 16, 8]);
          await steps(second, whole.slice(0, 1, 2).expand([2, 16, 8]), 8, 16);
          await expect(model.cached(span(x, 8, 10), fork)).toBeCloseToTensor(span(whole, 8, 10), close);
          expect([...(await cache.lengths.data())]).toEqual([16, 16]);
          cache.reset();
          model.cached(span(x, 0, 2), cache);
          await steps(x, whole, 2, 7);
          step.release();
          cache.dispose();
          fork.dispose();
        }),
      );

      test(
        "fork: copies go their own ways from within a page",
        here(async () => {
          const x = drawn([3, 12, 8]);
          const whole = model.whole(x);
          const cache = make(3, 14, device);
          model.cached(span(x, 0, 5), cache);
          const copy = cache.fork();
          const other = copy.fork();
          model.cached(drawn([3, 3, 8], 1), copy);
          await expect(model.cached(span(x, 5, 6), cache)).toBeCloseToTensor(span(whole, 5, 6), close);
          model.cached(drawn([3, 1, 8], 2), copy);
          await expect(model.cached(span(x, 6, 9), cache)).toBeCloseToTensor(span(whole, 6, 9), close);
          await expect(model.cached(span(x, 5, 7), other)).toBeCloseToTensor(span(whole, 5, 7), close);
          for (const each of [cache, copy, other]) each.dispose();
        }),
      );

      test(
        "gather and select: rows in another order, repeated, in another number",
        here(async () => {
          const x = drawn([3, 9, 8]);
          const whole = model.whole(x);
          const cache = make(3, 9, device);
          model.cached(span(x, 0, 5), cache);
          const rows = [1, 1, 0, 2, 2];
          const five = cache.select(rows);
          const picked = (of: Tensor, rows: readonly number[]) => of.take(tensor(Int32Array.from(rows), { device }), 0);
          await expect(model.cached(span(picked(x, rows), 5, 7), five)).toBeCloseToTensor(span(picked(whole, rows), 5, 7), close);
          cache.gather([2, 0, 0]);
          for (const at of [5, 6, 7])
            await expect(model.cached(span(picked(x, [2, 0, 0]), at, at + 1), cache)).toBeCloseToTensor(
              span(picked(whole, [2, 0, 0]), at, at + 1),
              close,
            );
          five.gather([4, 0, 0, 0, 3]);
          const again = [4, 0, 0, 0, 3].map((row) => rows[row]!);
          await expect(model.cached(span(picked(x, again), 7, 9), five)).toBeCloseToTensor(span(picked(whole, again), 7, 9), close);
          five.dispose();
          cache.dispose();
        }),
      );

      test(
        "truncate: what came after is forgotten and written anew",
        here(async () => {
          const x = drawn([2, 9, 8]);
          const whole = model.whole(x);
          const cache = make(2, 9, device);
          model.cached(span(x, 0, 3), cache);
          // From the last position only: what lies further back a ring has lost.
          model.cached(drawn([2, 1, 8], 1), cache);
          cache.truncate(3);
          await expect(model.cached(span(x, 3, 6), cache)).toBeCloseToTensor(span(whole, 3, 6), close);
          model.cached(drawn([2, 1, 8], 1), cache);
          cache.truncate(6);
          await expect(model.cached(span(x, 6, 7), cache)).toBeCloseToTensor(span(whole, 6, 7), close);
          await expect(model.cached(span(x, 7, 9), cache)).toBeCloseToTensor(span(whole, 7, 9), close);
          cache.dispose();
        }),
      );

      test(
        "reset: from the start, over what stood there, be it no number",
        here(async () => {
          const cache = make(3, 9, device);
          model.cached(tensor(new Float32Array(168).fill(Number.NaN), { shape: [3, 7, 8], device }), cache);
          cache.reset([0, 2, 1]);
          const x = drawn([3, 8, 8]);
          const whole = model.whole(x.slice(0, 0, 1));
          for (const [from, to] of [
            [0, 1],
            [1, 3],
            [3, 4],
            [4, 8],
          ] as const) {
            const y = model.cached(span(x, from, to), cache);
            await expect(y.slice(0, 0, 1)).toBeCloseToTensor(span(whole, from, to), close);
            if (from >= 2) expect([...(await y.data())].every(Number.isFinite)).toBe(true);
          }
          cache.dispose();
        }),
      );
    });
  },
  { describe, test },
);

describe("on the reference", () => {
  const device = reference();
  const drawn = (shape: readonly number[]) => randn([...shape], { generator: new Generator({ seed: 5, device }) });

  test.each(Object.entries(kinds))("%s: whatever the chunks, the cache gives what the whole sequence gives", (_, { make, close }) =>
    withDevice(device, async () => {
      const model = everything(device, sees);
      const x = drawn([2, 11, 8]);
      const whole = model.whole(x);
      const chunks = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 2, maxLength: 11 });
      await fc.assert(
        fc.asyncProperty(chunks, async (sizes) => {
          const cache = make(2, 11, device);
          let at = 0;
          for (const size of sizes) {
            const end = Math.min(11, at + size);
            if (end > at) await expect(model.cached(span(x, at, end), cache)).toBeCloseToTensor(span(whole, at, end), close);
            at = end;
          }
          cache.dispose();
        }),
        { numRuns: 8 },
      );
    }),
  );

  test.each(Object.entries(kinds).filter(([name]) => !name.startsWith("sliding")))(
    "%s: a layer without a window sees all",
    (_, { make, close }) =>
      withDevice(device, async () => {
        const model = new Pair(device);
        const x = drawn([2, 13, 8]);
        const whole = model.whole(x);
        const cache = make(2, 13, device);
        for (const [from, to] of [
          [0, 5],
          [5, 6],
          [6, 9],
          [9, 10],
          [10, 13],
        ] as const)
          await expect(model.cached(span(x, from, to), cache)).toBeCloseToTensor(span(whole, from, to), close);
      }),
  );

  test.each(Object.entries(kinds))("%s: a hundred compiled steps take no more memory than the first", (_, { make }) =>
    withDevice(device, () => {
      const model = everything(device, sees);
      const cache = make(1, 106, device);
      const run = compile(({ x }: { x: Tensor }) => model.cached(x, cache), { device });
      const step = () => {
        scope(() => void run({ x: randn([1, 1, 8]) }));
        cache.counted(1);
      };
      model.cached(randn([1, 4, 8]), cache).dispose();
      step();
      const { live, buffers } = device.memory();
      for (let i = 0; i < 100; i++) step();
      expect(device.memory()).toMatchObject({ live, buffers });
      run.release();
      cache.dispose();
    }),
  );
});
