import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { sizeOf, type Tensor, tensor } from "@x/tensor";
import { compareOutput, type ParityCase, type ParityReader, type ParityTensor, readParityModule } from "@x/testing";
import { expect } from "vitest";

const directory = fileURLToPath(new URL("../../../fixtures/layers", import.meta.url));

/** The cases of one file of fixtures/layers: what torch was given, and what it gave. */
export async function readCases(file: string): Promise<readonly ParityCase[]> {
  return (await readParityModule(directory, file, async (path) => openTensors(readFileSync(path)))).cases;
}

export const placed = (tensors: ReadonlyMap<string, ParityTensor>): Record<string, Tensor> =>
  Object.fromEntries([...tensors].map(([name, { data, shape }]) => [name, tensor(data, { shape })]));

/** Compares with what torch gave under that name ("outputs.output", "grads.x"). */
export async function expectClose({ name, expected }: ParityCase, output: string, actual: Tensor): Promise<void> {
  const wanted = expected.find((one) => one.name === output);
  if (!wanted) throw new Error(`${name}: the fixture has no ${output}`);
  const comparison = compareOutput({ shape: actual.shape, data: await actual.data() }, wanted);
  if (!comparison.pass) expect.fail(`${name} ${output}: ${comparison.report()}`);
}

/** A safetensors file of f32 and i64 tensors; these become i32. */
function openTensors(bytes: Buffer): ParityReader {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString("utf8", 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return {
    tensors: new Map(Object.entries(header)),
    values: async (name) => {
      const { dtype, shape, data_offsets } = header[name]!;
      const offsets = Array.from({ length: sizeOf(shape) }, (_, i) => start + data_offsets[0] + i * (dtype === "F32" ? 4 : 8));
      if (dtype === "F32") return Float32Array.from(offsets, (at) => bytes.readFloatLE(at));
      return Int32Array.from(offsets, (at) => Number(bytes.readBigInt64LE(at)));
    },
  };
}
