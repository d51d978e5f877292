import { type Device, type DType, decode, dtypes, encode, explain, reference, type Sample, type Tolerance } from "@x/tensor";
import { compareArrays } from "../compare.ts";
import { Stream } from "../stream.ts";
import { type DrawnInputs, drawInputs, type Handover, placeInputs } from "./inputs.ts";
import { allValues, compiledValues, gradients, hasGradients, preferDouble, type Read, values } from "./run.ts";

/** A sample that a strict run lets the reference serve. */
export interface KernelException {
  /** Name of the contract. */
  readonly op: string;
  /** Name of the sample; absent: all of the contract's. */
  readonly sample?: string;
  readonly reason: string;
}

export interface ConformanceOptions {
  /** A sample that no kernel serves fails, and lists who declined. */
  readonly strict?: boolean;
  /** Samples that a strict run excuses. One that is served after all fails, so that the list shrinks. */
  readonly exceptions?: readonly KernelException[];
  readonly seed?: number;
}

/** One named check, to be run by any test runner. It rejects with a report. */
export interface ConformanceCase {
  readonly name: string;
  run(): Promise<void>;
}

export interface ConformanceResult {
  readonly name: string;
  readonly pass: boolean;
  /** What went wrong; undefined where it passed. */
  readonly report: string | undefined;
}

/**
 * What every device and every kernel must get right, one case a sample: values (auxiliary outputs included) against the reference in f64, gradients for random
 * cotangents, the same from inputs with strides and inside a compiled step, and no memory left behind.
 */
export function conformanceCases(device: Device, samples: readonly Sample[], options: ConformanceOptions = {}): ConformanceCase[] {
  const oracle = reference();
  const seen = new Map<string, number>();
  return samples.map((sample) => {
    const plain = `${sample.op ? `${sample.op.contract.name}: ` : ""}${sample.name}`;
    const again = seen.get(plain) ?? 0;
    seen.set(plain, again + 1);
    const name = again === 0 ? plain : `${plain} (${again + 1})`;
    return { name, run: () => runSample(device, oracle, sample, name, options) };
  });
}

/** All cases run one after another; never rejects. For tools; in tests use `conformance`. */
export async function checkConformance(
  device: Device,
  samples: readonly Sample[],
  options: ConformanceOptions = {},
): Promise<ConformanceResult[]> {
  const results: ConformanceResult[] = [];
  for (const { name, run } of conformanceCases(device, samples, options)) {
    const report = await run().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    results.push({ name, pass: report === undefined, report });
  }
  return results;
}

/** The functions of a test runner that the suite needs: those of vitest, node:test and jest fit. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  test(name: string, body: () => Promise<void>): unknown;
}

/** Registers a test for each sample: the whole test file of a kernel package, `conformance(await device(), samples, { describe, test })`. */
export function conformance(
  device: Device,
  samples: readonly Sample[],
  { describe, test, ...options }: ConformanceOptions & TestRunner,
): void {
  describe(`conformance of ${device.name}`, () => {
    for (const { name, run } of conformanceCases(device, samples, options)) test(name, run);
  });
}

async function runSample(device: Device, oracle: Device, sample: Sample, name: string, options: ConformanceOptions): Promise<void> {
  const inputs = drawInputs(sample, new Stream(name, options.seed));
  const before = device.memory().buffers;
  const references = new Map(device.figures.references);
  const problems: string[] = [];
  const expected = await preferDouble((handover) => expectedValues(oracle, sample, inputs, handover));
  const check = async (what: string, made: Promise<Read[]>, wanted: readonly Read[], tolerance: Tolerance | undefined) => {
    const read = await made.catch((error: unknown) => problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`));
    if (Array.isArray(read)) problems.push(...differences(what, read, wanted, tolerance));
  };
  await check("values", values(device, sample, inputs, "drawn"), expected, sample.tolerance);
  if (sample.op && hasAuxiliary(sample.op.contract.outputs))
    await check("all outputs", allValues(device, sample.op && sample, inputs, "drawn"), expected, sample.tolerance);
  await check("strided inputs", values(device, sample, inputs, "strided"), expected, sample.tolerance);
  await check("compiled", compiledValues(device, sample, inputs), expected, sample.tolerance);
  if (hasGradients(sample)) {
    const stream = new Stream(`${name}, cotangents`, options.seed);
    const cotangents = new Map(
      expected
        .filter(({ dtype }) => isFloatType(dtype))
        .map(({ name, data }) => [name, Float64Array.from(stream.normal(data.length), Math.fround)]),
    );
    const wanted = await preferDouble((handover) => gradients(oracle, sample, inputs, handover, cotangents));
    const found = gradients(device, sample, inputs, "drawn", cotangents);
    if (wanted.length > 0) await check("gradients", found, wanted, sample.gradientTolerance ?? sample.tolerance);
    else await found;
  }
  const left = device.memory().buffers - before;
  if (left !== 0 && problems.length === 0) problems.push(`memory: ${left} buffers more are live after the case than before it`);
  if (options.strict) problems.push(...unserved(device, sample, inputs, references, options.exceptions ?? []));
  if (problems.length > 0) throw new Error(`${name} on ${device.name}:\n${problems.join("\n")}`);
}

/** Auxiliary outputs where there are some: the reference makes them in any case. */
const expectedValues = (oracle: Device, sample: Sample, inputs: DrawnInputs, handover: Handover): Promise<Read[]> =>
  sample.op && hasAuxiliary(sample.op.contract.outputs)
    ? allValues(oracle, sample, inputs, handover)
    : values(oracle, sample, inputs, handover);

const hasAuxiliary = (outputs: Readonly<Record<string, { readonly output: string }>>): boolean =>
  Object.values(outputs).some(({ output }) => output === "aux");
const isFloatType = (dtype: DType): boolean => dtypes[dtype].kind === "float";

const exact: Tolerance = { atol: 0, rtol: 0 };
/** What a few roundings cost in each storage; samples with long sums give their own. */
const usual: Readonly<Partial<Record<DType, Tolerance>>> = {
  f64: { atol: 1e-12, rtol: 1e-12 },
  f32: { atol: 1e-5, rtol: 1e-5 },
  f16: { atol: 2e-3, rtol: 2e-3 },
  bf16: { atol: 2e-2, rtol: 2e-2 },
};

function differences(what: string, made: readonly Read[], wanted: readonly Read[], given: Tolerance | undefined): string[] {
  return made.flatMap(({ name, shape, dtype, data }) => {
    const expected = wanted.find((other) => other.name === name);
    if (!expected) return [`${what}: ${name} is not among the expected ${wanted.map((other) => other.name).join(", ")}`];
    if (String(shape) !== String(expected.shape)) return [`${what}: ${name} has shape [${shape}], expected [${expected.shape}]`];
    const tolerance = isFloatType(dtype) ? (given ?? usual[dtype] ?? exact) : exact;
    const comparison = compareArrays(data, overflown(expected.data, dtype), { ...tolerance, shape });
    return comparison.pass ? [] : [`${what}: ${name}: ${comparison.report()}`];
  });
}

/** The expected values, infinite where the narrower dtype cannot hold them. */
function overflown(expected: ArrayLike<number>, dtype: DType): ArrayLike<number> {
  if (!isFloatType(dtype)) return expected;
  const stored = decode(encode(expected, dtype), dtype);
  return Float64Array.from(expected, (value, i) => (Math.abs(stored[i]!) === Number.POSITIVE_INFINITY ? stored[i]! : value));
}

/** What a strict run says of a sample: who ran through a reference without being excused, or is excused without need. */
function unserved(
  device: Device,
  sample: Sample,
  inputs: DrawnInputs,
  before: ReadonlyMap<string, number>,
  exceptions: readonly KernelException[],
): string[] {
  const ran = [...device.figures.references].filter(([name, count]) => count !== (before.get(name) ?? 0)).map(([name]) => name);
  const own = sample.op?.contract;
  const excused = (name: string) =>
    exceptions.some(({ op, sample: only }) => op === name && (name !== own?.name || only === undefined || only === sample.name));
  const problems = ran
    .filter((name) => !excused(name))
    .map((name) =>
      name === own?.name && sample.op
        ? `no kernel serves ${name}: ${refusals(device, sample, inputs)}`
        : `no kernel serves ${name}, which this case runs`,
    );
  if (
    own &&
    excused(own.name) &&
    !ran.includes(own.name) &&
    exceptions.some(({ op, sample: only }) => op === own.name && only === sample.name)
  )
    problems.push(`is excused from strictness, but a kernel serves it: take it off the list of exceptions`);
  return problems;
}

function refusals(device: Device, sample: Sample & { readonly op: object }, inputs: DrawnInputs): string {
  const placed = placeInputs(inputs, device, "contiguous");
  const { declined } = explain(device, sample.op as never, placed, sample.attrs);
  for (const item of Object.values(placed).flat()) if (typeof item === "object") item.dispose();
  return declined.length === 0 ? "there is none for it" : declined.map(({ kernel, reason }) => `${kernel}: ${reason}`).join("; ");
}
