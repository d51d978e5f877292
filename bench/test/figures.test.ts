import { describe, expect, test, vi } from "vitest";
import { batched } from "../src/competitor.ts";
import { check } from "../src/reference.ts";
import { type Entry, ratios, summarise } from "../src/results.ts";
import { type AttentionWorkload, inputs, workloadNamed } from "../src/workloads.ts";

const attention: AttentionWorkload = { kind: "attention", name: "small", heads: 1, tokens: 2, width: 1, causal: true };
const given = { q: Float32Array.of(1, 2), k: Float32Array.of(1, 3), v: Float32Array.of(10, 20) };

describe("what an output is compared with", () => {
  test("causal attention: the first token sees itself alone", () => {
    expect(check(attention, given, Float32Array.of(10, 0))).toEqual({ maxAbs: 0, rows: 1 });
    expect(check(attention, given, Float32Array.of(11, 0))?.maxAbs).toBe(1);
  });

  test("attention without a mask: the softmax of both scores", () => {
    const [first, second] = [Math.exp(1), Math.exp(3)];
    const expected = (10 * first + 20 * second) / (first + second);
    const checked = check({ ...attention, causal: false }, given, Float32Array.of(expected, 0));
    expect(checked?.maxAbs).toBeLessThan(1e-5);
  });

  test("an output of another length is infinitely wrong", () => {
    expect(check(attention, given, new Float32Array(3))?.maxAbs).toBe(Number.POSITIVE_INFINITY);
  });

  test("inputs in f16 are numbers that f16 holds", () => {
    const { a } = inputs({ kind: "gemm", name: "half", m: 4, k: 4, n: 4, dtype: "f16" }, 1);
    for (const value of a!) expect(Number.isInteger(value * 128)).toBe(true);
  });
});

describe("figures", () => {
  const entry = (competitor: string, ...samples: number[]): Entry => summarise(competitor, workloadNamed("gemm-512"), [{ samples }]);

  test("a ratio is the fastest of a class over ours", () => {
    const entries = [entry("ours/webgpu", 2), entry("tfjs/webgpu", 6, 6, 100), entry("jax-js/webgpu", 4)];
    const classes = { toPeers: ["tfjs/webgpu", "jax-js/webgpu"], toTorch: ["torch/cuda"] };
    expect(ratios(entries, { works: [], competitors: ["ours/webgpu"], ratios: classes, threads: "1" })).toEqual({ toPeers: 2 });
  });

  test("short work is repeated until a sample is long enough, and divided", async () => {
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    const asked: number[] = [];
    const sample = batched(async (times) => {
      asked.push(times);
      now += 6 * times;
    });
    const each = [await sample(), await sample(), await sample(), await sample()];
    clock.mockRestore();
    expect(asked).toEqual([1, 2, 4, 4]);
    expect(each).toEqual([6, 6, 6, 6]);
  });
});
