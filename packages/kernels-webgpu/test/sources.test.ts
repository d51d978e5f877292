/**
 * What each kernel asks a GPU to do is on record: a change of its source is seen in review. A kernel without a record fails where CI is set, and gets one
 * elsewhere. Renew with `npm test -- packages/kernels-webgpu/test/sources -u`.
 */
import { readdirSync } from "node:fs";
import { samples as opSamples } from "@x/ops/samples";
import type { Kernel, OpSample, SampleInput } from "@x/tensor";
import { Device, everyOutput, matmul, pointwise, scope, sizeOf, tensor, withDevice } from "@x/tensor";
import { primitiveSamples } from "@x/tensor/samples";
import { describe, expect, test } from "vitest";
import { webgpuKernels } from "../src/kernels/all.ts";
import { launchText, PlanningDriver } from "./planning.ts";
import { smallSamples } from "./small-samples.ts";

const folder = new URL("./__snapshots__/", import.meta.url);
const fileOf = ({ name }: Kernel) => `${name.replace(/^webgpu /, "").replace(/\W+/g, "-")}.wgsl.snap`;
const matrices = "matmul-matrices.wgsl.snap";
const kernels = webgpuKernels();
const driver = new PlanningDriver();
const device = new Device(driver, { kernels, strict: true });

describe.each(kernels.map((kernel) => [kernel.name, kernel] as const))("%s", (_, kernel) => {
  test("asks for what is on record", async () => {
    const { name, run } = kernel.contract === pointwise.contract ? chain : largest(kernel);
    driver.steps.length = 0;
    withDevice(device, () => scope(run));
    const launches = driver.steps.filter((step) => step.name === kernel.name).flatMap((step) => step.launches);
    expect(launches.length).toBeGreaterThan(0);
    await expect([`// ${kernel.name}: ${name}`, ...launches.map(launchText)].join("\n\n")).toMatchFileSnapshot(
      `./__snapshots__/${fileOf(kernel)}`,
    );
  });
});

test("a product on subgroup matrices asks for what is on record", async () => {
  const driver = new PlanningDriver({ matrices: "f16 16x16x16 by 32" });
  const half = () => tensor(new Float32Array(70 * 70), { shape: [70, 70], dtype: "f16" });
  withDevice(new Device(driver, { kernels, strict: true }), () => scope(() => void matmul({ a: half(), b: half() })));
  await expect(driver.steps.flatMap(({ launches }) => launches.map(launchText)).join("\n\n")).toMatchFileSnapshot(
    `./__snapshots__/${matrices}`,
  );
});

test("nothing but the kernels there are is on record", () => {
  const files = [...kernels.map(fileOf), matrices];
  expect(readdirSync(folder).filter((name) => !files.includes(name))).toEqual([]);
});

/** Elements up to which a case is small. */
const small = 1 << 14;

/** The largest small sample that a kernel serves: past the ends of its tiles, where it takes its usual form. */
function largest(kernel: Kernel): { name: string; run: () => void } {
  for (const { name, op, inputs, attrs } of smallSamples([...primitiveSamples, ...opSamples], kernel.contract, small)) {
    const run = () => void everyOutput(op, placed(inputs), attrs);
    driver.steps.length = 0;
    try {
      withDevice(device, () => scope(run));
    } catch {
      // Of a type, or in a way, that no GPU kernel takes.
      continue;
    }
    if (driver.steps.some((step) => step.name === kernel.name && step.launches.length > 0)) return { name, run };
  }
  throw new Error(`${kernel.name}: no sample of ${kernel.contract.name} up to ${small} elements runs on it.`);
}

const place = ({ shape, dtype = "f32" }: SampleInput) => tensor(new Float32Array(sizeOf(shape)), { shape, dtype });
const placed = (inputs: OpSample["inputs"]) =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => {
      if (input === undefined || typeof input === "number") return [name, input];
      return [name, Array.isArray(input) ? input.map(place) : place(input as SampleInput)];
    }),
  );

const chain = {
  name: "tanh(x) y + 1",
  run: () => {
    const x = place({ shape: [5, 7] });
    void x
      .tanh()
      .mul(place({ shape: [7] }))
      .add(1)
      .copy();
  },
};
