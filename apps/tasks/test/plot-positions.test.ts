import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { panels, plot, plotPath } from "../src/plot-positions.ts";

test("docs/positions.svg is what the packages give", async () => {
  expect(readFileSync(plotPath, "utf8")).toBe(await plot());
});

test("what papers say of the curves holds", async () => {
  const curve = async (title: RegExp, label: string) =>
    (await panels()).find((panel) => title.test(panel.title))!.curves.find((each) => each.label === label)!.values;
  const [rope, linear, xPos] = [await curve(/^RoPE: /, "base 10000"), await curve(/scalings/, "linear"), await curve(/^xPos/, "xPos")];
  // Linear scaling reads positions between the trained ones; xPos damps what is far.
  for (const d of [1, 7, 40]) expect(linear[4 * d]).toBeCloseTo(rope[d]!, 4);
  expect(Math.abs(xPos[200]!)).toBeLessThan(Math.abs(rope[200]!));
  const [steep, flat] = [await curve(/^ALiBi/, "head 1"), await curve(/^ALiBi/, "head 8")];
  expect([steep[8], flat[8]]).toEqual([-4, -8 / 256]);
});
