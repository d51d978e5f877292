import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { wasm } from "@x/kernels-wasm";
import { Generator, setDefaultDevice, type Tensor, tensor, withGenerator } from "@x/tensor";
import { differencesOf, type ParityTensor, readParityModule } from "@x/testing";
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

test.each(cases.map((one) => [one.name, one] as const))("%s is performer-pytorch's", async (_, one) => {
  const options = one.options as unknown as Options;
  const { causal } = options;
  const features = featuresOf(options);
  // What is theirs alone: keys are divided by the largest of all, later ones included, and the causal sum of keys has something more.
  const theirs = causal ? ({ stabilizer: "global", keySumEps: 1e-6 } as const) : {};
  const [q, k, v] = ["query", "key", "value"].map((of) => floats(one.inputs.get(of)!)) as [Tensor, Tensor, Tensor];
  const forward = () => linearAttention({ q, k, v }, { features, causal, ...theirs });
  expect(await differencesOf(one, { forward, wrt: { query: q, key: k, value: v }, device })).toEqual([]);
});
