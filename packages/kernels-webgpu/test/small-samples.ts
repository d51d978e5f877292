import type { OpSample, Sample, SampleInput } from "@x/tensor";
import { type Contract, sizeOf } from "@x/tensor";

/** The tensors of a sample. */
export const tensorsOf = ({ inputs }: Pick<Sample, "inputs">): readonly SampleInput[] =>
  Object.values(inputs).flatMap((input) => (input === undefined || typeof input === "number" ? [] : ([input].flat() as SampleInput[])));

const elementsOf = (sample: Sample): number => tensorsOf(sample).reduce((n, { shape }) => n + sizeOf(shape), 0);

/** Samples of a contract with at most so many elements, the largest first: past the ends of tiles, where kernels take their usual form. */
export const smallSamples = (samples: readonly Sample[], contract: Contract, most: number): OpSample[] =>
  samples
    .filter((sample) => sample.op?.contract === contract && elementsOf(sample) <= most)
    .map((sample) => sample as OpSample)
    .sort((a, b) => elementsOf(b) - elementsOf(a));
