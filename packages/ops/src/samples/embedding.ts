import type { Sample } from "@x/tensor";
import { embedding } from "../embedding.ts";
import { integers, ints, normal, transposed } from "./inputs.ts";

export const embeddingSamples: readonly Sample[] = [
  { name: "of one row", op: embedding, inputs: { table: normal([1, 1]), indices: ints([1], 0) } },
  { name: "of 2x5 tokens", op: embedding, inputs: { table: normal([13, 7]), indices: integers([2, 5], 0, 13) } },
  {
    name: "of one token many times: its gradient adds up",
    op: embedding,
    inputs: { table: normal([5, 3]), indices: ints([67], 2) },
    gradientTolerance: { atol: 1e-4, rtol: 1e-5 },
  },
  {
    name: "of more tokens than rows",
    op: embedding,
    inputs: { table: normal([4, 65]), indices: integers([3, 33], 0, 4) },
    gradientTolerance: { atol: 1e-4, rtol: 1e-5 },
  },
  { name: "of no tokens", op: embedding, inputs: { table: normal([5, 4]), indices: integers([2, 0], 0, 5) } },
  { name: "of a scalar index", op: embedding, inputs: { table: normal([5, 4]), indices: ints([], 3) } },
  { name: "of a transposed table", op: embedding, inputs: { table: transposed(normal([6, 9])), indices: integers([8], 0, 6) } },
  { name: "of transposed indices", op: embedding, inputs: { table: normal([6, 4]), indices: transposed(integers([3, 5], 0, 6)) } },
  { name: "of indices outside, which are clamped", op: embedding, inputs: { table: normal([6, 4]), indices: ints([4], -1, 6, 100, 5) } },
];
