import { type Device, isFloat, reference, type SampleInput, scope, type Tensor, tensor, vjp, withDevice } from "@x/tensor";
import { compareArrays } from "./compare.ts";
import { type DrawnInputs, drawInputs, isList, placeInputs } from "./conformance/inputs.ts";
import { Stream } from "./stream.ts";

export type Differentiable = (inputs: Readonly<Record<string, Tensor>>) => Tensor | readonly Tensor[];

export interface GradcheckOptions {
  /** 2 checks the gradient of the gradient as well. */
  readonly order?: 1 | 2;
  /** Inputs to differentiate by; absent: every floating point one. */
  readonly wrt?: readonly string[];
  /** Half the distance between the two points of a difference. */
  readonly step?: number;
  readonly atol?: number;
  readonly rtol?: number;
  readonly seed?: number;
}

/**
 * Checks gradients by central differences in f64 on the reference device: for random cotangents, d sum(outputs * cotangents) / d input for every element of
 * every floating point input. Inputs are given as in samples (f32 becomes f64). Keep them small, and away from places where `fn` is not smooth.
 * Rejects with the worst element.
 */
export async function gradcheck(
  fn: Differentiable,
  inputs: Readonly<Record<string, SampleInput>>,
  options: GradcheckOptions = {},
): Promise<void> {
  const { order = 1, seed = 0 } = options;
  const device = reference();
  const drawn = drawInputs({ name: "gradcheck", inputs, build: () => fail() }, new Stream("gradcheck", seed));
  const names = (options.wrt ?? Object.keys(inputs)).filter((name) => isFloat(inputs[name]?.dtype ?? "f32"));
  const first = await checkOrder(device, fn, drawn, names, "gradient", options, new Stream("cotangents", seed));
  if (order === 1) return;
  // Once more, of the function that gives the gradients for fixed cotangents.
  const gradientOf: Differentiable = (given) => gradientsOf(fn, given, names, first);
  await checkOrder(device, gradientOf, drawn, names, "second derivative", options, new Stream("second cotangents", seed));
}

type Cotangents = readonly (readonly number[] | undefined)[];

async function checkOrder(
  device: Device,
  fn: Differentiable,
  drawn: DrawnInputs,
  names: readonly string[],
  what: string,
  { step = 1e-5, atol = 1e-6, rtol = 1e-5 }: GradcheckOptions,
  stream: Stream,
): Promise<Cotangents> {
  const cotangents = draw(device, fn, drawn, stream);
  const given = (inputs: DrawnInputs) => placeInputs(inputs, device, "f64") as Readonly<Record<string, Tensor>>;
  const results = withDevice(device, () => scope(() => gradientsOf(fn, given(drawn), names, cotangents)));
  for (const [i, name] of names.entries()) {
    const actual = await results[i]!.data();
    const { shape, data } = drawn[name] as { shape: readonly number[]; data: Float64Array };
    const expected = new Float64Array(data.length);
    for (let at = 0; at < data.length; at++) {
      const value = async (shift: number) => {
        const moved = data.map((x, j) => (j === at ? x + shift : x));
        const inputs = { ...drawn, [name]: { ...(drawn[name] as object), data: moved } } as DrawnInputs;
        const total = withDevice(device, () => scope(() => inner(listOf(fn(given(inputs))), cotangents)));
        return total.item();
      };
      expected[at] = ((await value(step)) - (await value(-step))) / (2 * step);
    }
    const comparison = compareArrays(actual, expected, { atol, rtol, shape });
    if (!comparison.pass)
      throw new Error(`gradcheck: ${what} with respect to ${name} against central differences:\n${comparison.report()}`);
  }
  return cotangents;
}

/** Cotangents for each floating point output. */
function draw(device: Device, fn: Differentiable, drawn: DrawnInputs, stream: Stream): Cotangents {
  return withDevice(device, () =>
    scope(() =>
      listOf(fn(placeInputs(drawn, device, "f64") as Record<string, Tensor>)).map(({ dtype, size }) =>
        isFloat(dtype) ? [...stream.normal(size)] : undefined,
      ),
    ),
  );
}

const listOf = (outputs: Tensor | readonly Tensor[]): readonly Tensor[] => (isList(outputs) ? outputs : [outputs]);
const seedFor = (data: readonly number[], { shape, dtype, device }: Tensor): Tensor =>
  tensor(Float64Array.from(data), { shape, dtype, device });

function inner(outputs: readonly Tensor[], cotangents: Cotangents): Tensor {
  const terms = outputs.flatMap((output, i) => (cotangents[i] ? [output.mul(seedFor(cotangents[i], output)).sum()] : []));
  if (terms.length === 0) throw new Error("gradcheck: the function has no floating point output.");
  return terms.reduce((sum, term) => sum.add(term));
}

function gradientsOf(
  fn: Differentiable,
  given: Readonly<Record<string, Tensor>>,
  names: readonly string[],
  cotangents: Cotangents,
): readonly Tensor[] {
  const seeds = scope(() => listOf(fn(given)).map((output, i) => cotangents[i] && seedFor(cotangents[i], output)));
  const wrt = names.map((name) => given[name]!);
  return vjp(() => listOf(fn(given)), wrt, seeds).gradients as readonly Tensor[];
}

const fail = (): never => {
  throw new Error("gradcheck: its inputs have no function of their own.");
};
