import { samples as opSamples } from "@x/ops/samples";
import { primitiveSamples } from "@x/tensor/samples";
import { conformance, type KernelException } from "@x/testing";
import { describe, test } from "vitest";
import { wasm } from "../src/index.ts";
import exceptions from "./strict-exceptions.json" with { type: "json" };

conformance(await wasm({ threads: 2 }), [...primitiveSamples, ...opSamples], {
  strict: true,
  exceptions: exceptions as readonly KernelException[],
  describe,
  test,
});
