/** Twenty steps of AdamW as torch makes them: losses, norms and the last weights (fixtures/parity/train-*; the format's README says how they were made). */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fileSource, openSafetensors } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import { fromPretrained } from "@x/models";
import { adamW } from "@x/optim";
import { type Device, setDefaultDevice } from "@x/tensor";
import { languageLoss, trainStep } from "@x/train";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const fixture = (name: string) => fileURLToPath(new URL(`../../../fixtures/parity/${name}`, import.meta.url));

interface Settings {
  readonly train: { lr: number; betas: [number, number]; eps: number; weight_decay: number; clip_norm: number; steps: number };
  readonly outputs: Readonly<Record<string, { readonly atol: number; readonly rtol: number }>>;
}

describe("on wasm (the parity app compares the reference device too)", () => {
  let device: Device;
  beforeAll(async () => {
    device = await wasm({ threads: 2 });
    setDefaultDevice(device);
  });
  afterAll(() => {
    setDefaultDevice(undefined);
    device.close();
  });

  test.each(["train-gpt2", "train-llama"])("%s: losses, norms and the last weights are torch's", async (name) => {
    const directory = fixture(name);
    const { train, outputs } = JSON.parse(await readFile(`${directory}/parity.json`, "utf8")) as Settings;
    const expected = await openSafetensors(fileSource(`${directory}/parity.safetensors`));
    const { model } = await fromPretrained(directory);
    const { betas, eps, weight_decay: weightDecay, clip_norm: clipNorm, lr, steps } = train;
    const optimizer = adamW({ betas, eps, weightDecay }).init(model.namedParameters());
    const step = trainStep({ optimizer, loss: languageLoss(model), clipNorm, device });
    const batches = await expected.values("inputs.batches", "i32");
    const [rows, length] = expected.tensors.get("inputs.batches")!.shape.slice(1) as [number, number];
    const losses: number[] = [];
    const norms: number[] = [];
    for (let s = 0; s < steps; s++) {
      const tokens = Int32Array.from(batches.slice(s * rows * length, (s + 1) * rows * length));
      const columns = (from: number) => tokens.filter((_, i) => i % length >= from && i % length < from + length - 1);
      const shape = [rows, length - 1];
      const readings = step({ inputs: { data: columns(0), shape }, targets: { data: columns(1), shape } }, { lr });
      losses.push(await readings.loss.item());
      norms.push(await readings.gradNorm.item());
    }
    const compare = async (output: string, made: ArrayLike<number>) => {
      const want = await expected.values(`outputs.${output}`);
      const { atol, rtol } = outputs[output]!;
      expect(made.length).toBe(want.length);
      for (let i = 0; i < want.length; i++)
        if (!(Math.abs(made[i]! - want[i]!) <= atol + rtol * Math.abs(want[i]!)))
          throw new Error(`${output}[${i}] is ${made[i]}, expected ${want[i]}`);
    };
    await compare("losses", losses);
    await compare("grad_norms", norms);
    const [table, norm] = [model.namedParameters().get("tokens.weight")!, model.namedParameters().get("norm.weight")!];
    const published =
      name === "train-gpt2" ? ["transformer.wte.weight", "transformer.ln_f.weight"] : ["model.embed_tokens.weight", "model.norm.weight"];
    await compare(`parameters.${published[0]}`, (await table.data()) as Float32Array);
    await compare(`parameters.${published[1]}`, (await norm.data()) as Float32Array);
    await expected.close();
  });
});
