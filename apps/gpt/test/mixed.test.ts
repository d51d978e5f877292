import { wasm } from "@x/kernels-wasm";
import { Llama } from "@x/models/llama";
import { adamW } from "@x/optim";
import { type Device, Generator, withDevice, withGenerator } from "@x/tensor";
import { languageLoss, trainStep } from "@x/train";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { onAdapter } from "../../../packages/kernels-webgpu/test/adapter.ts";
import { cellsOf, devices, tinyGpt, windows } from "./support.ts";

const narrow = ["f16", "bf16"] as const;
/** Of the first loss, which is rounding alone: eight bits of mantissa instead of eleven. Later Adam turns a gradient near zero into a whole step, and runs part. */
const firstWithin = { f16: 1e-4, bf16: 1e-3 };

async function losses({ step }: Pick<ReturnType<typeof tinyGpt>, "step">, size: Parameters<typeof windows>[1] = {}, steps = 30) {
  const seen: number[] = [];
  for (let i = 0; i < steps; i++) {
    const readings = step(windows(i % 4, size), { lr: 1e-2 });
    expect(await readings.skipped.item()).toBe(0);
    seen.push(await readings.loss.item());
  }
  return seen;
}

function expectClose(found: readonly number[], wanted: readonly number[], precision: (typeof narrow)[number]): void {
  const apart = found.map((loss, i) => Math.abs(loss / wanted[i]! - 1));
  expect(apart[0]).toBeLessThan(firstWithin[precision]);
  expect(Math.max(...apart)).toBeLessThan(0.02);
  expect(found.at(-1)).toBeLessThan(found[0]! * 0.8);
}

describe.each(devices)("a GPT in half precision on %s", (name, open) => {
  const small = name === "reference";
  const size = small ? { rows: 1, length: 4 } : {};
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.close());

  test.each(narrow)("%s learns as f32 does over 30 steps; its weights are f32", async (precision) => {
    const made = tinyGpt(device, { small, dropout: 0, precision });
    expectClose(await losses(made, size), await losses(tinyGpt(device, { small, dropout: 0 }), size), precision);
    expect(new Set([...made.optimizer.parameters, ...made.optimizer.states().values()].map(({ dtype }) => dtype))).toEqual(
      new Set(["f32"]),
    );
  });

  test("compiled is eager, bit for bit: dropout, accumulation, overflow", async () => {
    const how = { small, precision: "f16", lossScaling: { initial: 2 ** 20, interval: 3 } } as const;
    const [compiled, eager] = [tinyGpt(device, how), tinyGpt(device, { ...how, eager: true })];
    let skipped = 0;
    for (let i = 0; i < 12; i++) {
      const batches = i % 3 === 0 ? windows(i, size) : [windows(i, size), windows(i + 1, size)];
      const [a, b] = [compiled.step(batches, { lr: 1e-2 }), eager.step(batches, { lr: 1e-2 })];
      for (const reading of ["loss", "gradNorm", "skipped", "lossScale"] as const)
        expect(await a[reading]!.item()).toBe(await b[reading]!.item());
      skipped += await a.skipped.item();
    }
    expect(await cellsOf(compiled)).toEqual(await cellsOf(eager));
    expect(skipped).toBeGreaterThan(0);
    expect(skipped).toBeLessThan(9);
  });
});

test.each(narrow)("a Llama in %s learns as in f32: rotary positions, shared key-value heads, RMS norms", async (precision) => {
  const device = await wasm({ threads: 1 });
  const run = (how: { readonly precision?: (typeof narrow)[number] }) =>
    withDevice(device, () => {
      const config = { vocabSize: 17, maxLength: 8, dim: 16, numLayers: 2, numHeads: 4, numKvHeads: 2, hiddenDim: 24 };
      const model = withGenerator(new Generator({ seed: 1, device }), () => new Llama(config));
      const optimizer = adamW({ betas: [0.9, 0.99] }).init(model.namedParameters());
      return losses({ step: trainStep({ optimizer, loss: languageLoss(model), clipNorm: 1, device, ...how }) });
    });
  expectClose(await run({ precision }), await run({}), precision);
  device.close();
});

await onAdapter((device) => {
  test("f16 on WebGPU learns as f32 does on the CPU", async () => {
    const cpu = await wasm({ threads: 1 });
    const wanted = await losses(tinyGpt(cpu, { dropout: 0 }), {}, 15);
    cpu.close();
    expectClose(await losses(tinyGpt(device, { dropout: 0, precision: "f16" }), {}, 15), wanted, "f16");
  }, 60_000);

  test("an overflow on WebGPU is seen by its bits: skipped, halved, and then trained", async () => {
    const { step } = tinyGpt(device, { dropout: 0, precision: "f16", lossScaling: { initial: 2 ** 26 } });
    const read: number[][] = [];
    for (let i = 0; i < 14; i++) {
      const { lossScale, skipped } = step(windows(1), { lr: 1e-2 });
      read.push([Math.log2(await lossScale!.item()), await skipped.item()]);
    }
    const overflows = read.findIndex(([, skipped]) => skipped === 0);
    expect(overflows).toBeGreaterThan(3);
    for (const [i, [scale, skipped]] of read.slice(0, overflows + 1).entries())
      expect([scale, skipped]).toEqual([26 - i, i < overflows ? 1 : 0]);
  }, 30_000);
});
