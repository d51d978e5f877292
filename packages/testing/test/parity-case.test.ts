import { reference, tensor } from "@x/tensor";
import { expect, test } from "vitest";
import { differencesOf, type ParityCase } from "../src/index.ts";

const device = reference();
const given = (...numbers: number[]) => ({ shape: [numbers.length], data: Float32Array.from(numbers) });
const output = (name: string, ...numbers: number[]) => ({ name, expected: given(...numbers), where: undefined, atol: 1e-6, rtol: 1e-6 });
/** y = 3 a b */
const one: ParityCase = {
  name: "thrice",
  options: {},
  inputs: new Map([
    ["a", given(1, 2)],
    ["b", given(5, 7)],
  ]),
  cotangents: new Map([["output", given(1, 10)]]),
  expected: [output("outputs.output", 15, 42), output("grads.a", 15, 210), output("grads.b", 3, 60)],
};
const [a, b] = ["a", "b"].map((name) => tensor(one.inputs.get(name)!.data, { shape: [2], device }));

test("a case that is met has no differences; a value, a gradient, what is missing and what is too much have a line each", async () => {
  const forward = () => a!.mul(b!).mul(3);
  const wrt = { a: a!, b: b! };
  expect(await differencesOf(one, { forward, wrt, device })).toEqual([]);
  expect(await differencesOf(one, { forward: () => forward().mul(1.01), wrt, device })).toEqual([
    expect.stringMatching(/^thrice outputs\.output: 2 of 2 elements differ/),
    expect.stringMatching(/^thrice grads\.a: 2 of 2/),
    expect.stringMatching(/^thrice grads\.b: 2 of 2/),
  ]);
  expect(await differencesOf(one, { forward, wrt: { a: a!, c: b! }, device })).toEqual([
    "thrice grads.c: is not expected",
    "thrice grads.b: is missing",
  ]);
});
