import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Heap } from "../src/heap.ts";

describe("heap", () => {
  test("any order of allocations and frees: aligned, disjoint, counted, and in the end one free block", () => {
    const step = fc.record({ bytes: fc.integer({ min: 0, max: 300_000 }), free: fc.nat(30), doFree: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new Heap({ shared: false, maximumBytes: 2 ** 27 });
        const live: { address: number; bytes: number }[] = [];
        for (const { bytes, free, doFree } of steps) {
          if (doFree && live.length > 0) heap.free(live.splice(free % live.length, 1)[0]!.address);
          else live.push({ address: heap.allocate(bytes), bytes });
        }
        const sorted = live.toSorted((a, b) => a.address - b.address);
        sorted.forEach(({ address, bytes }, i) => {
          expect(address % 64).toBe(0);
          expect(address + bytes).toBeLessThanOrEqual(sorted[i + 1]?.address ?? heap.memory.buffer.byteLength);
        });
        const figures = heap.figures();
        expect(figures.count).toBe(live.length);
        expect(figures.live).toBe(live.reduce((sum, { bytes }) => sum + Math.max(64, Math.ceil(bytes / 64) * 64), 0));
        for (const { address } of live) heap.free(address);
        // Everything is one block again: the largest buffer that fits needs no growth.
        const held = heap.memory.buffer.byteLength;
        const all = heap.figures().pooled;
        heap.allocate(all);
        expect(heap.memory.buffer.byteLength).toBe(held);
        expect(heap.figures()).toMatchObject({ live: all, pooled: 0, count: 1 });
      }),
      { numRuns: 60 },
    );
  });
  test("freed memory is used again: no growth over a thousand steps", () => {
    const heap = new Heap({ shared: false });
    const round = () => {
      const addresses = [100_000, 64, 4096, 1_000_000, 12].map((bytes) => heap.allocate(bytes));
      for (const address of addresses.toReversed()) heap.free(address);
    };
    round();
    const { peak } = heap.figures();
    const held = heap.memory.buffer.byteLength;
    for (let i = 0; i < 1000; i++) round();
    expect(heap.memory.buffer.byteLength).toBe(held);
    expect(heap.figures().peak).toBe(peak);
  });
  test("reads are copies in ordinary buffers and survive growth", () => {
    const heap = new Heap({ shared: true });
    const address = heap.allocate(8);
    heap.write(address, Float32Array.of(1.5, -2));
    const copy = heap.read(address, 8);
    heap.allocate(2 ** 24);
    expect(copy.buffer).toBeInstanceOf(ArrayBuffer);
    expect([...new Float32Array(copy.buffer)]).toEqual([1.5, -2]);
    expect([...heap.f32(address, 2)]).toEqual([1.5, -2]);
  });
  test("out of memory says what was asked, what is live and what to do, and harms nothing", () => {
    const heap = new Heap({ shared: false, maximumBytes: 2 ** 21 });
    const address = heap.allocate(2 ** 20, "the weights");
    expect(() => heap.allocate(2 ** 21, "the logits")).toThrow(
      /out of memory: the logits asks for 2\.0 MiB; 1\.0 MiB are live in 1 buffers.*2\.0 MiB.*smaller batch/s,
    );
    expect(heap.figures()).toMatchObject({ live: 2 ** 20, count: 1 });
    heap.free(address);
    expect(heap.allocate(2 ** 20)).toBe(address);
  });
  test("misuse is an error", () => {
    const heap = new Heap({ shared: false });
    const address = heap.allocate(10);
    heap.free(address);
    expect(() => heap.free(address)).toThrow(/not a live buffer: freed twice/);
    expect(() => heap.allocate(-1)).toThrow(/expected a whole number/);
    expect(() => heap.allocate(Number.NaN)).toThrow(/expected a whole number/);
    expect(() => new Heap({ shared: false, maximumBytes: 10 })).toThrow(/at least/);
  });
});
