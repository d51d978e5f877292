import { type DType, isFloat, type OpSample, reference, type Sample, type SampleInput, sizeOf } from "@x/tensor";
import { conformance } from "@x/testing";
import { describe, test } from "vitest";
import { adamw } from "../src/index.ts";
import { samples } from "../src/samples/index.ts";

/** What is f32 in any storage: statistics, moments, and what an update is made with. */
const wide = ["mean", "inverse", "lse", "logSumExp", "dLoss", "dLogSumExp", "dLse", "lr", "step", "gradScale", "cos", "sin"];
const moments = ["m", "v"];
const extreme = /large|extreme|1e4|shifted|-1e30|constant|finite|small/;

function stored(sample: OpSample, dtype: DType): Sample {
  const kept = sample.op === adamw ? [...wide, ...moments] : wide;
  const input = (name: string, given: SampleInput): SampleInput =>
    isFloat(given.dtype ?? "f32") && !kept.includes(name) ? { ...given, dtype } : given;
  const inputs = Object.entries(sample.inputs).map(([name, given]) => {
    if (given === undefined || typeof given === "number") return [name, given];
    return [name, Array.isArray(given) ? given.map((one) => input(name, one)) : input(name, given as SampleInput)];
  });
  // Results of size 1 to 10, rounded a few times on the way.
  const tolerance = dtype === "f16" ? { atol: 1e-2, rtol: 1e-2 } : { atol: 0.1, rtol: 0.1 };
  return { ...sample, name: `${sample.name}, ${dtype}`, inputs: Object.fromEntries(inputs), tolerance, gradientTolerance: tolerance };
}

const isSmall = ({ inputs }: Sample) =>
  Object.values(inputs).every(
    (given) => typeof given !== "object" || [given].flat().every(({ shape }) => sizeOf(shape) > 0 && sizeOf(shape) < 200),
  );
const ordinary = samples.filter((sample): sample is OpSample => sample.op !== undefined && isSmall(sample) && !extreme.test(sample.name));
const ops = [...new Set(ordinary.map(({ op }) => op))];
const some = ops.flatMap((op) => ordinary.filter((sample) => sample.op === op).slice(0, 3));

describe("stored in half precision, computed in f32:", () => {
  conformance(
    reference(),
    some.flatMap((sample) => [stored(sample, "f16"), stored(sample, "bf16")]),
    { describe, test },
  );
});
