import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import { Generator, setDefaultDevice, type Tensor, tensor, vjp, withGenerator } from "@x/tensor";
import { compareOutput, type ParityTensor, readParityModule } from "@x/testing";
import { afterAll, expect, test } from "vitest";
import { FavorFeatures, KernelFeatures, linearAttention } from "../src/index.ts";

interface Options {
  readonly kernel: "softmax" | "relu";
  readonly causal: boolean;
  readonly eps: number;
  readonly projection: readonly (readonly number[])[];
}

/** Made by tools/golden with the functions of performer-pytorch itself, gradients by queries, keys and values among them. */
const { cases } = await readParityModule(fileURLToPath(new URL("../../../fixtures/layers", import.meta.url)), "performer", openSafetensors);
const device = await wasm({ threads: 2, strict: true });
setDefaultDevice(device);
afterAll(() => device.close());

const floats = ({ shape, data }: ParityTensor): Tensor => tensor(Float32Array.from(data), { shape, device });

function featuresOf({ kernel, eps, projection }: Options) {
  const [numFeatures, headDim] = [projection.length, projection[0]!.length];
  const made = withGenerator(new Generator({ seed: 1, device }), () =>
    kernel === "softmax"
      ? new FavorFeatures({ headDim, numFeatures, eps })
      : new KernelFeatures({ headDim, kernel, eps, scale: headDim ** -0.25, projection: { numFeatures } }),
  );
  made.projection!.projection_matrix.write(Float32Array.from(projection.flat()));
  return made;
}

test.each(cases.map((one) => [one.name, one] as const))(
  "%s is performer-pytorch's",
  async (name, { inputs, cotangents, expected, ...one }) => {
    const options = one.options as unknown as Options;
    const { causal } = options;
    const features = featuresOf(options);
    // What is theirs alone: keys are divided by the largest of all, later ones included, and the causal sum of keys has something more.
    const theirs = causal ? ({ stabilizer: "global", keySumEps: 1e-6 } as const) : {};
    const names = ["query", "key", "value"] as const;
    const [q, k, v] = names.map((of) => floats(inputs.get(of)!)) as [Tensor, Tensor, Tensor];
    const run = () => [linearAttention({ q, k, v }, { features, causal, ...theirs })];
    const { value, gradients } = vjp(run, [q, k, v], [floats(cotangents.get("output")!)]);
    const found = new Map([["outputs.output", value[0]!], ...names.map((of, i) => [`grads.${of}`, gradients[i]!] as const)]);
    expect([...found.keys()].sort()).toEqual(expected.map((output) => output.name).sort());
    for (const output of expected) {
      const actual = found.get(output.name)!;
      const comparison = compareOutput({ shape: actual.shape, data: await actual.data() }, output);
      if (!comparison.pass) expect.fail(`${name} ${output.name}: ${comparison.report()}`);
    }
  },
);
