import { existsSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { compile, generated, generatedPath, hasCompiler, headerPath } from "../build.mjs";
import { args } from "../src/abi.ts";
import { cHeader } from "../src/abi-header.ts";
import { kernelBytes } from "../src/kernels.ts";
import { inspectModule } from "../src/module.ts";
import { Runtime } from "../src/runtime.ts";

const open: Runtime[] = [];
const runtime = (options: ConstructorParameters<typeof Runtime>[0]) => {
  const made = new Runtime(options);
  open.push(made);
  return made;
};
afterAll(() => {
  for (const one of open) one.close();
});

/** A module (import env.memory) whose function f(begin, end, args) runs `body`. */
function moduleOf(body: number[], sections: number[] = []): Uint8Array {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const types = [1, 7, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0];
  const memory = [2, 18, 1, 3, ...Buffer.from("env"), 6, ...Buffer.from("memory"), 2, 3, 1, 0x80, 0x80, 4];
  const code = [0, ...body, 0x0b];
  return Uint8Array.of(
    ...header,
    ...types,
    ...memory,
    3,
    2,
    1,
    0,
    7,
    5,
    1,
    1,
    0x66,
    0,
    0,
    ...sections,
    10,
    code.length + 2,
    1,
    code.length,
    ...code,
  );
}
/** Adds 1 atomically to the word at `args` + 4 * unit, for each unit. */
const add = [0x20, 2, 0x20, 0, 0x41, 2, 0x74, 0x6a, 0x41, 1, 0xfe, 0x1e, 2, 0, 0x1a];
const counting = moduleOf([
  2,
  0x40,
  3,
  0x40,
  0x20,
  0,
  0x20,
  1,
  0x4e,
  0x0d,
  1,
  ...add,
  0x20,
  0,
  0x41,
  1,
  0x6a,
  0x21,
  0,
  0x0c,
  0,
  0x0b,
  0x0b,
]);
const trapping = moduleOf([0x00]);
/** Traps for units from 50 on. */
const trappingLate = moduleOf([0x20, 0, 0x41, 50, 0x4e, 0x04, 0x40, 0x00, 0x0b]);

const settled = async (made: Runtime, workers: number) => {
  for (let i = 0; i < 500 && made.threads.started.workers < workers; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(made.threads.started.workers).toBe(workers);
};

describe("threads", () => {
  test("each unit runs once, whatever the number of threads; code is added while workers wait", async () => {
    for (const threads of [1, 2, 4]) {
      const made = runtime({ threads });
      await settled(made, threads - 1);
      const kernel = made.threads.register(counting);
      const counts = made.heap.allocate(4 * 1000);
      made.heap.i32(counts, 1000).fill(0);
      for (let round = 0; round < 200; round++) made.threads.parallelFor(kernel, counts, 1000, 1);
      expect(made.heap.i32(counts, 1000).every((count) => count === 200)).toBe(true);
      const second = made.threads.register(counting);
      expect(second).toBe(kernel + 1);
      made.heap.allocate(2 ** 26);
      made.threads.parallelFor(second, counts, 1000, 1);
      expect(made.heap.i32(counts, 1000).every((count) => count === 201)).toBe(true);
      made.close();
    }
  });
  test("work begins before any worker has started, and after all have ended", () => {
    const made = runtime({ threads: 3 });
    const kernel = made.threads.register(counting);
    const counts = made.heap.allocate(400);
    made.heap.i32(counts, 100).fill(0);
    made.threads.parallelFor(kernel, counts, 100, 1);
    made.close();
    made.close();
    made.threads.parallelFor(kernel, counts, 100, 1);
    made.threads.parallelFor(kernel, counts, 0, 1);
    expect(made.heap.i32(counts, 100).every((count) => count === 2)).toBe(true);
  });
  test("a trap reaches the caller, on main and on a worker, and the next launch works", async () => {
    const made = runtime({ threads: 2 });
    await settled(made, 1);
    const [bad, late, good] = [trapping, trappingLate, counting].map((bytes) => made.threads.register(bytes)) as [number, number, number];
    const counts = made.heap.allocate(4 * 100);
    made.heap.i32(counts, 100).fill(0);
    for (let round = 0; round < 50; round++) {
      expect(() => made.threads.parallelFor(bad, counts, 100, 1)).toThrow(/unreachable/);
      expect(() => made.threads.parallelFor(late, counts, 100, 1)).toThrow(/unreachable/);
      made.threads.parallelFor(good, counts, 100, 1);
    }
    expect(made.heap.i32(counts, 100).every((count) => count === 50)).toBe(true);
  });
  test("without shared memory the same bytes run on main", () => {
    const made = runtime({ threads: 4, shared: false });
    expect(made.threads.count).toBe(1);
    const [y, x] = [made.heap.allocate(16), made.heap.allocate(16)];
    made.heap.write(x, Float32Array.of(1, 1, 1, 1));
    made.run("softmax", { y, x, n: 4, log: 0 }, 1);
    expect([...made.heap.f32(y, 4)]).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
  test("a wish that makes no sense, a missing argument and an unknown kernel are errors", () => {
    expect(() => new Runtime({ threads: 0 })).toThrow(/whole number >= 1/);
    expect(() => args("softmax", { y: 1, n: 2, log: 0 } as never)).toThrow(/kernel softmax: argument "x" is missing/);
    expect(() => runtime({ threads: 1 }).threads.kernel("nothing")).toThrow(/no kernel is called "nothing".*gemm/);
  });
});

describe("modules", () => {
  test("ours import the memory alone and have neither data nor start function", () => {
    for (const build of ["fma", "mul"] as const) expect(inspectModule(kernelBytes(build), build).exports).toContain("gemm");
  });
  test("others are refused with the reason", () => {
    const start = moduleOf([], [8, 1, 0]);
    expect(() => inspectModule(start, "a plugin")).toThrow(/a plugin: it has a start function/);
    const data = Uint8Array.of(...moduleOf([]), 11, 6, 1, 0, 0x41, 0, 0x0b, 0);
    expect(() => inspectModule(data, "a plugin")).toThrow(/data segments/);
    expect(() => inspectModule(Uint8Array.of(1, 2, 3), "a plugin")).toThrow(/not a WebAssembly module/);
    expect(() => inspectModule(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), "a plugin")).toThrow(/imports no memory/);
    expect(() => inspectModule(counting.subarray(0, 40), "a plugin")).toThrow(/end inside a section/);
    const foreign = counting.slice();
    foreign[22] = 0x78;
    expect(() => inspectModule(foreign, "a plugin")).toThrow(/it imports/);
  });
  test("the C header follows the table", () => {
    expect(readFileSync(headerPath, "utf8")).toBe(cHeader());
  });
  test.skipIf(!hasCompiler)(`a rebuild gives the same bytes${hasCompiler ? "" : " (SKIPPED: clang-19 is not installed)"}`, () => {
    for (const build of ["fma", "mul"] as const) {
      expect(existsSync(generatedPath(build))).toBe(true);
      expect(readFileSync(generatedPath(build), "utf8") === generated(build, compile(build)), `${build}: run build:wasm`).toBe(true);
    }
  });
});
