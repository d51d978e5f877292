import { activations, linear, linearBackwardWeights } from "@x/ops";
import { compile, Device, everyOutput, KernelRefusedError, matmul, scope, type Tensor, tensor, withDevice } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { describe, expect, test } from "vitest";
import type { Caps } from "../src/device/caps.ts";
import { WebgpuDriver } from "../src/device/driver.ts";
import { matricesOf, matrixFeature } from "../src/device/subgroup-matrices.ts";
import { figuresOf } from "../src/index.ts";
import { webgpuKernels } from "../src/kernels/all.ts";
import { checkMatrices } from "../src/kernels/product/check-matrices.ts";
import { linearBackwardWeightsBy } from "../src/kernels/product/linear-backward.ts";
import { matmulBy } from "../src/kernels/product/matmul.ts";
import { choose, type Shape } from "../src/kernels/product/tiles.ts";
import { tileOf, unitsOf } from "../src/kernels/product/units.ts";
import { type MatrixUnit, subgroupUnit } from "../src/wgsl/gemm/matrix-unit.ts";
import { onAdapter, openAdapter } from "./adapter.ts";
import { emulatedUnit } from "./emulated-unit.ts";

const config = (componentType: string, resultComponentType: string, M: number, N: number, K: number) => ({
  componentType,
  resultComponentType,
  M,
  N,
  K,
});

describe("what an adapter offers", () => {
  const features = new Set([matrixFeature, "subgroups", "shader-f16"]);
  const limits = { maxComputeInvocationsPerWorkgroup: 256 };
  const some = [
    config("f16", "f16", 16, 16, 16),
    config("f16", "f32", 16, 8, 8),
    config("f16", "f32", 16, 16, 16),
    config("u8", "u32", 16, 16, 32),
  ];
  const info = { vendor: "nvidia", subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: some };

  test("the largest of each type that sums in f32", () => {
    expect(matricesOf(info, features, limits)).toBe("f16 16x16x16 by 32");
    const both = [...some, config("f32", "f32", 8, 8, 8)];
    expect(matricesOf({ ...info, subgroupMatrixConfigs: both }, features, limits)).toBe("f32 8x8x8 by 32, f16 16x16x16 by 32");
  });

  test("Apple's subgroups have 32 invocations, whatever range Metal tells", () => {
    const apple = { vendor: "apple", subgroupMinSize: 4, subgroupMaxSize: 64, subgroupMatrixConfigs: [config("f32", "f32", 8, 8, 8)] };
    expect(matricesOf(apple, features, limits)).toBe("f32 8x8x8 by 32");
  });

  test.each([
    ["subgroups of several sizes", { ...info, subgroupMinSize: 8 }, features, limits],
    ["no sizes told", { vendor: "", subgroupMatrixConfigs: some }, features, limits],
    ["no shader-f16", info, new Set([matrixFeature, "subgroups"]), limits],
    ["no subgroups", info, new Set([matrixFeature, "shader-f16"]), limits],
    ["not the feature", info, new Set(["subgroups", "shader-f16"]), limits],
    ["a workgroup without room for four subgroups", info, features, { maxComputeInvocationsPerWorkgroup: 127 }],
    [
      "sides that do not go into tiles",
      { ...info, subgroupMatrixConfigs: [config("f32", "f32", 12, 16, 16), config("f32", "f32", 32, 8, 16)] },
      features,
      limits,
    ],
    ["sums in f16", { ...info, subgroupMatrixConfigs: [config("f16", "f16", 16, 16, 16)] }, features, limits],
    ["no list", { ...info, subgroupMatrixConfigs: undefined! }, features, limits],
  ])("none with %s", (_, info, features, limits) => expect(matricesOf(info, features, limits)).toBe(""));
});

describe("the choice", () => {
  const shape = { batches: 1, m: 512, n: 512, k: 64, alongSum: false, sums: false, halves: false };
  const chosen = (matrices: string, own: Partial<Shape>) => {
    const { member, tile } = choose({ software: false, matrices }, { ...shape, ...own });
    return tile.unit ? `${member} ${tile.unit.name}` : member;
  };
  const [f16, f32] = ["f16 16x16x16 by 32", "f32 8x8x8 by 32"];

  test("f16 with f16 on a unit of f16, everything else on one of f32", () => {
    expect(chosen(`${f32}, ${f16}`, { halves: true })).toBe(`matrices ${f16}`);
    expect(chosen(`${f32}, ${f16}`, {})).toBe(`matrices ${f32}`);
    expect(chosen(f32, { halves: true })).toBe(`matrices ${f32}`);
    expect(chosen(f16, {})).toBe("tiled");
  });

  test("not where a side is short, and never without them", () => {
    expect(chosen(f32, { m: 32, n: 32 })).toBe(`matrices ${f32}`);
    expect(chosen(f32, { m: 31 })).toBe("tiled");
    expect(chosen(f32, { n: 31 })).toBe("tiled");
    expect(chosen(f32, { m: 1, alongSum: true })).toBe("few rows");
    expect(chosen("", { halves: true })).toBe("tiled");
  });

  test("few tiles share out a long sum", () =>
    expect(choose({ software: false, matrices: f32 }, { ...shape, m: 64, n: 64, k: 1024 }).parts).toBe(8));
});

await onAdapter((device) => {
  const all = (["f32"] as const).flatMap((component) => [8, 16].map((side) => emulatedUnit({ component, m: side, n: side, k: side })));

  test("a right unit passes the check, a wrong one is named with what it got", async () => {
    expect(await checkMatrices(device.driver, all)).toBeUndefined();
    expect(await checkMatrices(device.driver, [all[0]!, emulatedUnit({ component: "f32", m: 8, n: 8, k: 8 }, true)])).toMatch(
      /^off: a product on emulated f32 8x8x8 is wrong here \(-?\d+ for -?\d+ at row 0, column 0\)$/,
    );
  });

  test("a unit with fewer bits than its component is wrong", async () => {
    const unit = all[0]!;
    // As of tf32: ten bits behind the point.
    const short = {
      ...unit,
      code: unit.code.replace("f32(tile_a[a.x + t * a.y + i])", "bitcast<f32>(bitcast<u32>(tile_a[a.x + t * a.y + i]) & 0xffffe000u)"),
    };
    expect(await checkMatrices(device.driver, [short])).toMatch(/wrong here/);
  });

  test("sums of rows fall out, also of parts of a sum", async () => {
    const [rows, inputs, outputs] = [75, 36, 67];
    const wave = (size: number, step: number) => Float32Array.from({ length: size }, (_, i) => Math.round(8 * Math.sin(i * step)));
    const [x, dy] = [wave(rows * inputs, 0.7), wave(rows * outputs, 0.3)];
    const sum = (term: (row: number) => number) => Array.from({ length: rows }, (_, row) => term(row)).reduce((a, b) => a + b, 0);
    for (const parts of [1, 2]) {
      device.use([linearBackwardWeightsBy(() => ({ member: "matrices", tile: tileOf(all[0]!), parts }))]);
      const made = withDevice(device, () =>
        linearBackwardWeights({ x: tensor(x, { shape: [rows, inputs] }), dy: tensor(dy, { shape: [rows, outputs] }) }),
      );
      const weight = Float32Array.from({ length: outputs * inputs }, (_, at) =>
        sum((r) => dy[r * outputs + Math.floor(at / inputs)]! * x[r * inputs + (at % inputs)]!),
      );
      // Whole numbers: no order of the sum rounds.
      expect(await made.weight.data()).toEqual(weight);
      expect(await made.bias.data()).toEqual(Float32Array.from({ length: outputs }, (_, i) => sum((r) => dy[r * outputs + i]!)));
    }
  });

  test("the figures say which matrices are used, or why none", async () => {
    expect(figuresOf(device).matrices).toBe("none");
    const caps = { matrices: "f32 8x8x8 by 32" };
    const refused = await openAdapter("swiftshader", { caps });
    expect(figuresOf(refused).matrices).toMatch(
      /^off: a product on f32 8x8x8 by 32 does not run here \(line 2: extension .*chromium_experimental_subgroup_matrix.* is not allowed.*\)$/,
    );
    expect((refused.driver as WebgpuDriver).caps.matrices).toBe("");
    expect(await withDevice(refused, () => tensor([[2]]).matmul(tensor([[3]]))).data()).toEqual(new Float32Array([6]));
    refused.close();
    const asked = await openAdapter("swiftshader", { caps, subgroupMatrices: false });
    expect(figuresOf(asked)).toMatchObject({ matrices: "off, as asked for", submits: 0 });
    asked.close();
  });
});

/** Dawn with every feature and no GPU: it compiles what it is given as for a real one, and runs nothing. Held, as Dawn dies when it is collected while a device lives. */
let nothing: GPU | undefined;
async function openNothing(caps: Partial<Caps>): Promise<Device> {
  const { create } = await import("webgpu");
  nothing ??= create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = (await nothing.requestAdapter())!;
  const requiredFeatures = ["shader-f16", "subgroups", matrixFeature] as GPUFeatureName[];
  const driver = new WebgpuDriver(adapter, await adapter.requestDevice({ requiredFeatures }), { caps: { ...caps, software: false } });
  return new Device(driver, { kernels: webgpuKernels(), strict: true });
}

const units: readonly MatrixUnit[] = unitsOf({ matrices: "f32 8x8x8 by 32, f16 16x16x16 by 32, f16 16x8x8 by 32, f32 16x16x4 by 32" });

await describeDevices(
  units.map(({ name, component }) => ({
    name: `Dawn's compiler, ${name}`,
    required: process.env.CI === "true",
    open: () => openNothing({ matrices: name, vendor: component }),
  })),
  (device) => {
    const { caps, gpu } = (device.driver ?? {}) as WebgpuDriver;
    const dtype = caps?.vendor as MatrixUnit["component"];
    /** Sources of what the body launches, all of which the compiler has accepted. */
    const sourcesOf = async (body: () => unknown): Promise<string[]> => {
      const sources: string[] = [];
      const make = gpu.createShaderModule.bind(gpu);
      gpu.createShaderModule = (descriptor) => {
        sources.push(descriptor.code);
        return make(descriptor);
      };
      withDevice(device, () => scope(() => void body()));
      await device.settled();
      gpu.createShaderModule = make;
      return sources.filter((code) => code.includes("subgroupMatrixMultiplyAccumulate"));
    };
    const zeros = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape, dtype });

    test("operands that lie any way, batches, sums shared out", async () => {
      const [m, n] = [68, 64];
      for (const k of [32, 33, 1024]) {
        const operands = (rows: number, columns: number) => [zeros(rows, columns), zeros(columns, rows).transpose()];
        const sources = await sourcesOf(() => {
          for (const a of operands(m, k)) for (const b of operands(k, n)) matmul({ a, b });
          matmul({ a: zeros(2, 3, m, k), b: zeros(3, k, n) });
        });
        expect(sources.length).toBeGreaterThanOrEqual(4);
        expect(sources.every((code) => code.includes("p.part ") === k > 1000)).toBe(true);
      }
    });

    test.each(Object.keys(activations) as (keyof typeof activations)[])("a layer with %s and everything else", async (activation) => {
      for (const n of [64, 65]) {
        const [x, weight, bias, residual] = withDevice(device, () => [zeros(40, 24), zeros(n, 24), zeros(n), zeros(40, n)]);
        const sources = await sourcesOf(() => everyOutput(linear, { x, weight, bias, residual }, { activation }));
        expect(sources).toHaveLength(1);
        expect(sources[0]).toContain("residual_at(");
        expect(sources[0]).toContain("pre_put(");
      }
    });

    test("the gradient of its weights, with the sums of rows", async () => {
      for (const rows of [40, 1030]) {
        const sources = await sourcesOf(() => linearBackwardWeights({ x: zeros(rows, 36), dy: zeros(rows, 67) }));
        expect(sources).toHaveLength(1);
        expect(sources[0]).toContain("sums_put(");
      }
    });

    test("several products in one launch", async () => {
      const weights = withDevice(device, () => [zeros(48, 64), zeros(48, 72)]);
      const step = compile(({ x }: { x: Tensor }) => weights.map((b) => matmul({ a: x.cast(dtype), b })), { device });
      const [source, ...others] = await sourcesOf(() => step({ x: { data: new Float32Array(40 * 48), shape: [40, 48] } }));
      expect(others).toEqual([]);
      expect(source).toContain("main_j1(");
      step.release();
    });

    test("a source that is wrong is refused", async () => {
      const [unit] = unitsOf(caps);
      const wrong: readonly Partial<MatrixUnit>[] = [
        { multiplyAdd: (a, b, c) => `subgroupMatrixMultiplyAccumulate(${b}, ${a}, ${c})` },
        { parameter: "", subgroup: `(index / ${unit!.lanes}u)` },
        { enable: unit!.enable.filter((name) => name !== "chromium_experimental_subgroup_matrix") },
      ];
      for (const one of wrong) {
        const own = await openNothing({});
        own.use([matmulBy(() => ({ member: "matrices", tile: tileOf({ ...unit!, ...one }), parts: 1 }))]);
        withDevice(own, () => matmul({ a: zeros(40, 40), b: zeros(40, 40) }));
        await expect(own.settled()).rejects.toThrow(KernelRefusedError);
        own.close();
      }
    });

    test("an adapter whose results are not the product is found out", async () => {
      // This one computes nothing.
      expect(await checkMatrices(device.driver, unitsOf(caps))).toMatch(/is wrong here/);
    });
  },
  { describe, test },
);

test("units are told by their names", () => {
  expect(units.map(({ name }) => name)).toEqual(["f32 8x8x8 by 32", "f16 16x16x16 by 32", "f16 16x8x8 by 32", "f32 16x16x4 by 32"]);
  expect(subgroupUnit({ component: "f16", m: 16, n: 8, k: 4, lanes: 32 }).code).toContain("subgroup_matrix_left<f16, 4, 16>");
});
