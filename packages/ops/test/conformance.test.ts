import { reference } from "@x/tensor";
import { conformance } from "@x/testing";
import { describe, test } from "vitest";
import { samples } from "../src/samples/index.ts";

// The reference in f32 against itself in f64: the samples' tolerances are honest, their inputs legal, strides and replay change nothing.
conformance(reference(), samples, { describe, test });
