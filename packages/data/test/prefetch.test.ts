import { describe, expect, test } from "vitest";
import { prefetch, textBatches } from "../src/index.ts";
import { collect } from "./collect.ts";

/** Counts up to `length`, noting what was read and whether it was closed. */
function counter(length: number, { failAt = -1 } = {}) {
  const log = { read: 0, open: 0, mostOpen: 0, closed: false };
  async function* numbers() {
    try {
      for (let i = 0; i < length; i++) {
        log.open++;
        log.mostOpen = Math.max(log.mostOpen, log.open);
        await Promise.resolve();
        log.open--;
        if (i === failAt) throw new Error(`element ${i} is broken`);
        log.read++;
        yield i;
      }
    } finally {
      log.closed = true;
    }
  }
  return { log, source: numbers() };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("prefetch", () => {
  test("gives every element in order, also of a synchronous source", async () => {
    expect(await collect(prefetch(counter(10).source, 3))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await collect(prefetch([1, 2, 3], 8))).toEqual([1, 2, 3]);
    expect(await collect(prefetch([], 1))).toEqual([]);
  });

  test("runs ahead as far as asked, one read at a time, and not before the first element is asked for", async () => {
    const { log, source } = counter(100);
    const ahead = prefetch(source, 4);
    await settled();
    expect(log.read).toBe(0);
    await ahead.next();
    await settled();
    expect(log.read).toBe(5);
    await Promise.all([ahead.next(), ahead.next()]);
    await settled();
    expect(log.read).toBe(7);
    expect(log.mostOpen).toBe(1);
  });

  test("an error arrives in its place, and ends the iteration", async () => {
    const ahead = prefetch(counter(10, { failAt: 2 }).source, 5);
    expect((await ahead.next()).value).toBe(0);
    await settled();
    expect((await ahead.next()).value).toBe(1);
    await expect(ahead.next()).rejects.toThrow("element 2 is broken");
    expect(await ahead.next()).toEqual({ done: true, value: undefined });
  });

  test("leaving the loop closes the source", async () => {
    const { log, source } = counter(100);
    for await (const number of prefetch(source, 3)) if (number === 1) break;
    expect(log.closed).toBe(true);
    expect(log.read).toBeLessThanOrEqual(6);
  });

  test("the state is that of the element handed out last, however far the source ran ahead", async () => {
    const options = { tokens: Uint16Array.from({ length: 50 }, (_, i) => i), batch: 2, context: 3, seed: 5 };
    const source = textBatches(options);
    const ahead = prefetch(source, 6);
    source.resume({ ...source.state(), position: 2 });
    expect(ahead.state().position).toBe(2);
    await ahead.next();
    await ahead.next();
    await settled();
    expect(source.state().position).toBe(10);
    expect(ahead.state().position).toBe(4);
    const resumed = textBatches(options);
    resumed.resume(ahead.state());
    expect((await ahead.next()).value).toEqual(resumed.next().value);
  });

  test("bad input", () => {
    expect(() => prefetch([], 0)).toThrow("prefetch: ahead must be an integer of at least 1, got 0");
  });
});
