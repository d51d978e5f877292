import { samples as opSamples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance } from "@x/testing";
import { describe, test } from "vitest";
import { wasm } from "../src/index.ts";

// The other build, on main alone: the samples that multiply and add, and a few of everything else.
const products = new Set([
  ...["matmul", "linear", "quantizedLinear", "attention", "attentionBackward", "decodeAttention", "convolution", "layerNormBackward"],
]);
const some = [...primitiveSamples, ...opSamples].filter((sample, i) => i % 7 === 0 || (sample.op && products.has(sample.op.contract.name)));

conformance(await wasm({ threads: 1, build: "mul" }), some, { strict: true, describe, test });
