import { CharacterTokenizer } from "@x/data";
import { wasm } from "@x/kernels-wasm";
import { type Device, setDefaultDevice } from "@x/tensor";
import { evaluator } from "@x/train";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sample } from "../src/sample.ts";
import { cellsOf, devices, thirtySteps, tinyGpt, windows } from "./support.ts";

describe.each(devices)("a GPT's training step on %s", (name, open) => {
  const small = name === "reference";
  const size = small ? { rows: 1, length: 4 } : {};
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.close());

  test("compiled is eager, bit for bit, over 30 steps: a varying rate, dropout, accumulation, one skipped step", async () => {
    const compiled = await thirtySteps(tinyGpt(device, { small }), size);
    expect(compiled).toEqual(await thirtySteps(tinyGpt(device, { small, eager: true }), size));
    expect(compiled.readings.map(([, , skipped]) => skipped)).toEqual(Array.from({ length: 30 }, (_, i) => (i === 13 ? 1 : 0)));
  });

  test("a skipped step leaves weights, moments and step count bit for bit", async () => {
    const made = tinyGpt(device, { small });
    made.step(windows(0, size), { lr: 1e-2 });
    const { key: _, ...before } = await cellsOf(made);
    for (const weight of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await made.step(windows(1, { ...size, weight }), { lr: 1e-2 }).skipped.item()).toBe(1);
      const { key: _, ...after } = await cellsOf(made);
      expect(after).toEqual(before);
    }
  });
});

describe("on wasm", () => {
  test("learns one batch by heart in seconds", async () => {
    const device = await wasm({ threads: 1 });
    const { step } = tinyGpt(device, { dropout: 0 });
    let loss = Number.NaN;
    for (let i = 0; i < 60; i++) loss = await step(windows(3), { lr: 1e-2 }).loss.item();
    expect(loss).toBeLessThan(0.2);
    device.close();
  });

  test("threads change no bit of a run", async () => {
    const run = async (threads: number) => {
      const device = await wasm({ threads });
      const made = tinyGpt(device);
      for (let i = 0; i < 5; i++) made.step([windows(i), windows(i + 9)], { lr: 1e-2 });
      const cells = await cellsOf(made);
      device.close();
      return cells;
    };
    expect(await run(2)).toEqual(await run(1));
  });

  test("memory, allocations and launches are constant over 300 steps with evaluations and samples between", async () => {
    const device = await wasm({ threads: 1 });
    setDefaultDevice(device);
    const made = tinyGpt(device);
    const evaluate = evaluator(made.model, { device });
    const seventeen = new CharacterTokenizer("abcdefghijklmnox.");
    const round = async (i: number) => {
      for (const reading of Object.values(made.step(windows(i), { lr: 1e-3 }))) await reading.item().then(() => reading.dispose());
      if (i % 20 !== 19) return;
      const { inputs, targets } = windows(i);
      await evaluate([{ inputs: inputs.data, targets: targets.data, shape: inputs.shape }]);
      await sample(made.model, seventeen, "x", 9, { temperature: 1, seed: i }, () => {});
    };
    for (let i = 0; i < 40; i++) await round(i);
    const { live, buffers, allocations } = device.memory();
    const { launches } = device.figures;
    for (let i = 40; i < 60; i++) await round(i);
    const perRound = device.figures.launches - launches;
    for (let i = 60; i < 300; i++) await round(i);
    expect(device.figures.launches - launches).toBe(13 * perRound);
    expect(device.memory()).toMatchObject({ live, buffers, allocations, reclaimed: 0 });
    setDefaultDevice(undefined);
    device.close();
  });
});
