import { readFileSync } from "node:fs";
import { sizeOf, type Tensor, tensor } from "@x/tensor";
import { compareArrays } from "@x/testing";
import { expect } from "vitest";

type Named = Readonly<Record<string, Tensor>>;
interface Bounds {
  readonly atol: number;
  readonly rtol: number;
}

/** One case of a file of fixtures/layers: what torch was given, and what it gave. */
export interface Case {
  readonly name: string;
  readonly options: Readonly<Record<string, never>>;
  /** The tensors under `inputs.` or `cotangents.`, by the rest of their names. I64 become i32. */
  tensors(kind: "inputs" | "cotangents"): Named;
  /** Compares with the tensor of that name ("outputs.output", "grads.x") within the tolerance beside it. */
  expectClose(name: string, actual: Tensor): Promise<void>;
}

const directory = new URL("../../../fixtures/layers/", import.meta.url);

export function readCases(file: string): Case[] {
  const { cases } = JSON.parse(readFileSync(new URL(`${file}.json`, directory), "utf8"));
  const stored = readTensors(readFileSync(new URL(`${file}.safetensors`, directory)));
  return Object.entries<{ options?: Case["options"]; outputs: Record<string, Bounds> }>(cases).map(([name, { options = {}, outputs }]) => ({
    name,
    options,
    tensors(kind) {
      const prefix = `${name}.${kind}.`;
      const own = [...stored].filter(([key]) => key.startsWith(prefix));
      return Object.fromEntries(own.map(([key, { data, shape }]) => [key.slice(prefix.length), tensor(data, { shape })]));
    },
    async expectClose(output, actual) {
      const expected = stored.get(`${name}.${output}`);
      if (!expected) throw new Error(`${file}: no tensor ${name}.${output}`);
      expect(actual.shape).toEqual(expected.shape);
      const comparison = compareArrays(await actual.data(), expected.data, { ...outputs[output]!, shape: expected.shape });
      if (!comparison.pass) expect.fail(`${file} ${name} ${output}: ${comparison.report()}`);
    },
  }));
}

/** The tensors of a safetensors file: f32 as they are, i64 as i32. */
function readTensors(bytes: Buffer): Map<string, { data: Float32Array | Int32Array; shape: number[] }> {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString("utf8", 8, start));
  return new Map(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header).map(([name, { dtype, shape, data_offsets }]) => {
      const at = (i: number, width: number) => start + data_offsets[0] + i * width;
      const indices = Array.from({ length: sizeOf(shape) }, (_, i) => i);
      const data =
        dtype === "F32"
          ? Float32Array.from(indices, (i) => bytes.readFloatLE(at(i, 4)))
          : Int32Array.from(indices, (i) => Number(bytes.readBigInt64LE(at(i, 8))));
      return [name, { data, shape }];
    }),
  );
}
