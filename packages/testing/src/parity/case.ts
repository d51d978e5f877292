import { type Cell, type Device, type Tensor, tensor, vjp } from "@x/tensor";
import { compareOutput } from "./compare.ts";
import type { ParityCase } from "./format.ts";

/** Runs a case of `layers/` that has one output, and compares it and its gradients by `wrt`, named as the case names its inputs, with what the reference gave: a line for each that differs, is missing, or is not expected. */
export async function differencesOf(
  { name, cotangents, expected }: ParityCase,
  {
    forward,
    wrt,
    device,
  }: { readonly forward: () => Tensor; readonly wrt: Readonly<Record<string, Tensor | Cell>>; readonly device: Device },
): Promise<string[]> {
  const cotangent = cotangents.get("output")!;
  const seed = tensor(Float32Array.from(cotangent.data), { shape: cotangent.shape, device });
  const { value, gradients } = vjp(() => [forward()], wrt, [seed]);
  const found = new Map([["outputs.output", value[0]!]]);
  for (const [of, gradient] of Object.entries(gradients)) found.set(`grads.${of}`, gradient);
  const lines = [...found.keys()]
    .filter((made) => !expected.some((output) => output.name === made))
    .map((made) => `${name} ${made}: is not expected`);
  for (const output of expected) {
    const actual = found.get(output.name);
    const comparison = actual && compareOutput({ shape: actual.shape, data: await actual.data() }, output);
    if (!comparison?.pass) lines.push(`${name} ${output.name}: ${comparison?.report() ?? "is missing"}`);
  }
  return lines;
}
