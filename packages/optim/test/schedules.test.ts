import fc from "fast-check";
import { expect, test } from "vitest";
import { constantSchedule, cosineSchedule, inverseSqrtSchedule, linearSchedule, nanoGptCosine, wsdSchedule } from "../src/index.ts";

test("nanoGPT's rates: the first step already learns, the least rate comes at the end", () => {
  const schedule = nanoGptCosine({ lr: 1e-3, minLr: 1e-4, warmup: 100, steps: 2000 });
  const published = (step: number) => {
    if (step < 100) return (1e-3 * (step + 1)) / 101;
    if (step > 2000) return 1e-4;
    return 1e-4 + 0.5 * (1 + Math.cos((Math.PI * (step - 100)) / 1900)) * (1e-3 - 1e-4);
  };
  for (const step of [0, 1, 50, 99, 100, 101, 1050, 1999, 2000, 2001, 5000]) expect(schedule(step)).toBeCloseTo(published(step), 15);
});

test("rates stay between their limits, rise in warm-up, fall after it, and hold at the end", () => {
  const options = fc.record({
    lr: fc.double({ min: 1e-5, max: 1, noNaN: true }),
    warmup: fc.nat(9),
    steps: fc.integer({ min: 10, max: 40 }),
  });
  fc.assert(
    fc.property(options, ({ lr, warmup, steps }) => {
      const all = { lr, warmup, steps, minLr: lr / 10 };
      const shaped = (["linear", "cosine", "1-sqrt"] as const).map((shape) => wsdSchedule({ ...all, stable: 5, decay: steps, shape }));
      for (const schedule of [
        linearSchedule(all),
        cosineSchedule(all),
        nanoGptCosine(all),
        ...shaped,
        constantSchedule(all),
        inverseSqrtSchedule(all),
      ]) {
        const rates = Array.from({ length: 60 }, (_, step) => schedule(step));
        for (const [step, rate] of rates.slice(1).entries())
          expect(step < warmup ? rate - rates[step]! : rates[step]! - rate).toBeGreaterThanOrEqual(-1e-15);
        expect(Math.min(...rates)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...rates)).toBeLessThanOrEqual(lr * (1 + 1e-15));
      }
      expect(linearSchedule(all)(1000)).toBeCloseTo(lr / 10, 15);
    }),
  );
});

test("bad input", () => {
  expect(() => constantSchedule({ lr: Number.NaN })).toThrow(/lr must be a number of at least 0, got NaN/);
  expect(() => linearSchedule({ lr: 1, warmup: -1, steps: 3 })).toThrow(/warmup must be a number of at least 0, got -1/);
  expect(() => cosineSchedule({ lr: 1, steps: Number.NaN })).toThrow(/steps must be at least 0, got NaN/);
  expect(() => wsdSchedule({ lr: 1, stable: -1, decay: 2 })).toThrow(/got -1 and 2/);
  expect(() => constantSchedule({ lr: 1 })(-1)).toThrow(/steps count from 0, got -1/);
});
