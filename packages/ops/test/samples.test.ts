import type { Contract } from "@x/tensor";
import { expect, test } from "vitest";
import * as ops from "../src/index.ts";
import { samples } from "../src/samples/index.ts";

const contracts = Object.values(ops).flatMap((item) => ("contract" in item ? [item.contract as Contract] : []));

test.each(contracts.map(({ name }) => name))("%s has samples of its own", (name) => {
  expect(samples.filter(({ op }) => op?.contract.name === name).length).toBeGreaterThan(4);
});

test("samples of one contract have names of their own", () => {
  const names = samples.map(({ op, name }) => `${op?.contract.name}: ${name}`);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test("every input of every contract is given in some sample", () => {
  for (const { name, inputs } of contracts) {
    const own = samples.filter(({ op }) => op?.contract.name === name);
    for (const input of Object.keys(inputs))
      expect(
        own.some((sample) => sample.inputs[input] !== undefined),
        `${name}: ${input}`,
      ).toBe(true);
  }
});
