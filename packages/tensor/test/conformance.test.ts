import { conformance } from "@x/testing";
import { describe, test } from "vitest";
import { reference } from "../src/index.ts";
import { primitiveSamples } from "../src/samples/index.ts";

// The reference in the samples' own dtypes against itself in f64: rounding, tolerances and gradients, layouts and compiled steps.
conformance(reference(), primitiveSamples, { strict: true, describe, test });
