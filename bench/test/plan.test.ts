import { describe, expect, test } from "vitest";
import { driverEnvironment, groups } from "../src/groups.ts";
import { parseOptions } from "../src/plan.ts";
import { workloadNamed } from "../src/workloads.ts";

const parts = (...args: string[]) => parseOptions(args).parts;
const works = (...args: string[]) => parts(...args).flatMap((part) => part.works.map(({ name }) => name));
const against = (...args: string[]) => parts(...args).flatMap((part) => part.against);

describe("the command line", () => {
  test("every workload of a group exists", () => {
    for (const group of Object.values(groups))
      for (const name of [...group.works, ...("gpuWorks" in group ? group.gpuWorks : [])]) expect(workloadNamed(name).name).toBe(name);
  });

  test("a whole name means that workload alone, a part all that contain it", () => {
    expect(works("webgpu", "--only", "attention-1024")).toEqual(["attention-1024"]);
    expect(works("webgpu", "--only", "attention")).toEqual(["attention-1024", "attention-1024-causal"]);
  });

  test("large work and torch come with --gpu alone", () => {
    expect(works("webgpu")).not.toContain("gemm-4096");
    expect(works("webgpu", "--gpu")).toContain("gemm-4096");
    expect(against("webgpu")).not.toContain("torch/cuda");
    expect(against("webgpu", "--gpu")).toContain("torch/cuda");
  });

  test("a competitor is named with or without its variant; the first of a group is ours", () => {
    expect(against("webgpu", "--against", "ours,tfjs/webgpu")).toEqual(["ours/webgpu", "tfjs/webgpu"]);
    for (const { competitors } of Object.values(groups)) expect(competitors[0]).toMatch(/^ours/);
  });

  test("attention is measured on the CPU and on WebGPU, each with its own competitors", () => {
    expect(parts("attention").map(({ name }) => name)).toEqual(["attention-cpu", "attention-webgpu"]);
    expect(parts("attention", "--against", "ort-node").map(({ name, against: chosen }) => [name, chosen])).toEqual([
      ["attention-cpu", ["ort-node"]],
    ]);
    expect(parts("attention", "--only", "longformer").map(({ name }) => name)).toEqual(["attention-cpu"]);
    expect(parts("attention-webgpu").map(({ name }) => name)).toEqual(["attention-webgpu"]);
    expect(parts("attention", "--threads", "2").map(({ threads }) => threads)).toEqual([[2], [1]]);
  });

  test("lengths choose among works that differ by them, and leave the others", () => {
    const chosen = works("attention", "--lengths", "256,4096", "--against", "ours/wasm-composed,ours");
    expect(chosen).toContain("causal-training-256");
    expect(chosen).toContain("bigbird-forward-4096");
    expect(chosen).toContain("decode-contiguous-4096");
    expect(chosen).not.toContain("causal-forward-512");
    expect(chosen).not.toContain("longformer-forward-131072");
  });

  test.each([
    [["gpu"], /one group of cpu, webgpu, attention, attention-cpu, attention-webgpu, received "gpu"/],
    [["webgpu", "--only", "conv"], /--only conv matches none of gemm-512/],
    [["webgpu", "--against", "numpy"], /--against numpy is none of ours\/webgpu/],
    [["webgpu", "--driver", "mesa"], /--driver mesa is none of default, swiftshader, lavapipe/],
    [["attention", "--only", "causal", "--lengths", "300"], /--only causal --lengths 300 matches none of causal-forward-256/],
    [["webgpu", "--against", "ort-node"], /--against ort-node is none of ours\/webgpu/],
    [["cpu", "--launches", "0"], /--launches expects a whole number from 1, received "0"/],
  ])("%j is refused with words", (args, words) => {
    expect(() => parseOptions(args)).toThrow(words);
  });

  test("the default driver leaves the environment alone", () => {
    expect(driverEnvironment("default")).toEqual({});
  });
});
