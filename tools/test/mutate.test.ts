import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Mutation, mutate, readMutations } from "../mutation.ts";
import { judge } from "../mutation-run.ts";
import { root } from "../workspace.ts";

const forgotten: Mutation = {
  name: "mean-without-division",
  why: "A sum is no mean.",
  file: "tools/test/toy/mean.ts",
  find: "sum / values.length",
  replace: "sum",
  test: "tools/test/toy/mean.test.ts",
  testName: "divides by the count",
};
const file = join(root, forgotten.file);
const text = readFileSync(file, "utf8");

test("a mutation that the test notices is killed, and the file on disk is never touched", async () => {
  expect(await judge(forgotten)).toMatchObject({ outcome: "killed", detail: expect.stringContaining("expected 9 to be 3") });
  expect(readFileSync(file, "utf8")).toBe(text);
});

test("a mutation that the named test does not notice survives", async () => {
  expect(await judge({ ...forgotten, testName: "is a number" })).toMatchObject({ outcome: "survived" });
});

test("a mutation of a file that the test never loads survives", async () => {
  const elsewhere = { ...forgotten, file: "tools/mutation.ts", find: "Two mutations", replace: "Both mutations" };
  expect(await judge(elsewhere)).toMatchObject({ outcome: "survived", detail: expect.stringContaining("never loads") });
});

test("a mutation that only breaks the file proves nothing", async () => {
  expect(await judge({ ...forgotten, replace: "sum / (" })).toMatchObject({ outcome: "invalid" });
});

test("a test that does not run without the mutation proves nothing", async () => {
  expect(await judge({ ...forgotten, testName: "no such test" })).toMatchObject({ outcome: "invalid" });
});

test("text that is gone, ambiguous or unchanged is refused", () => {
  expect(() => mutate(text, { ...forgotten, find: "no such text" }, "m")).toThrow(/occurs 0 times/);
  expect(() => mutate(text, { ...forgotten, find: "values" }, "m")).toThrow(/must occur once/);
  expect(() => mutate(text, { ...forgotten, replace: forgotten.find }, "m")).toThrow(/changes nothing/);
  expect(mutate(text, { ...forgotten, replace: "$& $1" }, "m")).toContain("$& $1");
});

test("every mutation of the repository still fits the file it changes", () => {
  expect(() => readMutations()).not.toThrow();
});
