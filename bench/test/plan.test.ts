import { describe, expect, test } from "vitest";
import { driverEnvironment, groups } from "../src/groups.ts";
import { parseOptions } from "../src/plan.ts";
import { workloadNamed } from "../src/workloads.ts";

const works = (...args: string[]) => parseOptions(args).works.map(({ name }) => name);

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
    expect(parseOptions(["webgpu"]).against).not.toContain("torch/cuda");
    expect(parseOptions(["webgpu", "--gpu"]).against).toContain("torch/cuda");
  });

  test("a competitor is named with or without its variant; the first of a group is ours", () => {
    expect(parseOptions(["webgpu", "--against", "ours,tfjs/webgpu"]).against).toEqual(["ours/webgpu", "tfjs/webgpu"]);
    for (const { competitors } of Object.values(groups)) expect(competitors[0]).toMatch(/^ours/);
  });

  test.each([
    [["gpu"], /one group of cpu, webgpu, received "gpu"/],
    [["webgpu", "--only", "conv"], /--only conv matches none of gemm-512/],
    [["webgpu", "--against", "numpy"], /--against numpy is none of ours\/webgpu/],
    [["webgpu", "--driver", "mesa"], /--driver mesa is none of default, swiftshader, lavapipe/],
    [["cpu", "--launches", "0"], /--launches expects a whole number from 1, received "0"/],
  ])("%j is refused with words", (args, words) => {
    expect(() => parseOptions(args)).toThrow(words);
  });

  test("the default driver leaves the environment alone", () => {
    expect(driverEnvironment("default")).toEqual({});
  });
});
