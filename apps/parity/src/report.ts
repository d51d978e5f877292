import type { HostArray, Shape } from "@x/tensor";
import { type Comparison, compareOutput, type ParityOutput } from "@x/testing";

/** How one output compares. */
export interface OutputResult {
  readonly name: string;
  readonly maxAbs: number;
  readonly maxRel: number;
  readonly pass: boolean;
  /** Where the worst element is, or what else is wrong. */
  readonly detail: string;
}

/** How one generation compares. */
export interface GenerationResult {
  readonly pass: boolean;
  readonly detail: string;
}

export interface Report {
  readonly family: string;
  readonly device: string;
  readonly outputs: readonly OutputResult[];
  readonly generations: readonly GenerationResult[];
}

/** A value of ours. */
export interface Made {
  readonly shape: Shape;
  readonly data: HostArray;
}

/** Compares what the reference gave with what was made of it; nothing made, or another shape, is a failure and not the end of the run. */
export function resultOf(expected: ParityOutput, made: Made | undefined, name = expected.name): OutputResult {
  const failed = (detail: string) => ({ name, maxAbs: Number.POSITIVE_INFINITY, maxRel: Number.POSITIVE_INFINITY, pass: false, detail });
  if (!made) return failed("this architecture has no such output");
  let comparison: Comparison;
  try {
    comparison = compareOutput(made, expected);
  } catch (error) {
    return failed((error as Error).message);
  }
  const { maxAbs, maxRel, pass, worst } = comparison;
  const detail = worst ? `at [${worst.index.join(", ")}]: ${worst.actual}, expected ${worst.expected}` : "nothing to compare";
  return { name, maxAbs, maxRel, pass, detail };
}

export const passes = ({ outputs, generations }: Report): boolean => [...outputs, ...generations].every(({ pass }) => pass);

const verdict = (pass: boolean): string => (pass ? "pass" : "FAIL");

/** A line for each output and generation, and one for the whole. */
export function asText(report: Report): string {
  const { family, device, outputs, generations } = report;
  const width = Math.max(0, ...outputs.map(({ name }) => name.length));
  const failures = [...outputs, ...generations].filter(({ pass }) => !pass).length;
  return [
    ...outputs.map(
      ({ name, maxAbs, maxRel, pass, detail }) =>
        `${verdict(pass)}  ${name.padEnd(width)}  abs ${maxAbs.toExponential(2)}  rel ${maxRel.toExponential(2)}  ${detail}`,
    ),
    ...generations.map(({ pass, detail }, i) => `${verdict(pass)}  generation ${i}: ${detail}`),
    `${failures === 0 ? "pass" : "FAIL"}: ${family} on ${device}, ${outputs.length} outputs and ${generations.length} generations, ${failures} failing`,
  ].join("\n");
}

/** The same on one line. An error beyond all numbers is null. */
export function asJson(report: Report): string {
  const { family, device, outputs, generations } = report;
  return JSON.stringify({
    family,
    device,
    outputs: outputs.map(({ name, maxAbs, maxRel, pass }) => ({ name, maxAbs, maxRel, pass })),
    generations: generations.map(({ pass }) => ({ pass })),
    pass: passes(report),
  });
}
