import { type Program, randomBits } from "@x/tensor";
import { describe, expect, it } from "vitest";
import { run } from "./emit-run.ts";

const key = [0x12345678, 0x9abcdef0, 7, 0xffffffff];
const program: Program = {
  leaves: ["u32", "f32"],
  instructions: [
    { op: "random", leaf: 0, ordinal: 3, type: "u32" },
    { op: "random", leaf: 0, ordinal: 0xfffffff0, type: "u32" },
    { op: "leaf", leaf: 1, type: "f32" },
    { op: "index", type: "u32" },
  ],
  outputs: [0, 1, 3].map((register) => ({ register, dtype: "u32" as const })),
};

describe("random bits", () => {
  const draw = (shape: number[], strides: number[], cuts: number[]) =>
    run(program, shape, [{ values: key }, { values: Array.from({ length: 400 }, (_, i) => i), strides }], { cuts });
  const cases: [number[], number[], number[][]][] = [
    [[103], [1], [[], [1], [2], [3], [4], [17, 18, 50]]],
    [
      [7, 13],
      [1, 7],
      [[], [5], [13], [14, 41, 90]],
    ],
    [
      [3, 2, 37],
      [0, 1, 0],
      [[], [36, 38, 111]],
    ],
  ];
  for (const [shape, strides, cutLists] of cases) {
    for (const cuts of cutLists) {
      it(`are Philox of the row-major position: [${shape}] cut at [${cuts}]`, () => {
        const [first, second, index] = draw(shape, strides, cuts);
        const positions = [...first!.keys()];
        expect([...first!]).toEqual(positions.map((i) => randomBits(key, 3, i)));
        expect([...second!]).toEqual(positions.map((i) => randomBits(key, 0xfffffff0, i)));
        expect([...index!]).toEqual(positions);
      });
    }
  }
});
