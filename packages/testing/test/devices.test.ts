import { reference } from "@x/tensor";
import { afterEach, expect, test, vi } from "vitest";
import { describeDevices, type TestRunner } from "../src/index.ts";

afterEach(() => vi.restoreAllMocks());

function recorder() {
  const tests: { name: string; body: () => Promise<void> }[] = [];
  const skipped: string[] = [];
  const groups: string[] = [];
  const describe = (name: string, body: () => void) => {
    groups.push(name);
    body();
  };
  const register = (name: string, body: () => Promise<void>) => void tests.push({ name, body });
  const runner = { describe, test: Object.assign(register, { skip: (name: string) => void skipped.push(name) }) };
  return { tests, skipped, groups, runner };
}
const body = (_: unknown, { describe, test }: TestRunner) => {
  test("one", async () => {});
  describe("inner", () => void test("two", async () => {}));
};
const absent = () => {
  throw new Error("no adapter was found.\nmore words");
};

test("runs on what is there, and says in one line what is not", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const { tests, skipped, groups, runner } = recorder();
  const entries = [
    { name: "reference", open: () => reference() },
    { name: "webgpu", open: absent },
  ];
  await describeDevices(entries, body, runner);
  expect(groups).toEqual(["reference", "inner"]);
  expect(tests.map(({ name }) => name)).toEqual(["one", "two"]);
  const line = "webgpu: no adapter was found, 2 tests not run";
  expect(skipped).toEqual([line]);
  expect(warn.mock.calls).toEqual([[line]]);
});

test("a required device that is absent is a failing test", async () => {
  const { tests, runner } = recorder();
  await describeDevices([{ name: "cuda", open: absent, required: true }], body, runner);
  expect(tests).toHaveLength(1);
  await expect(tests[0]!.body()).rejects.toThrow("cuda: no adapter was found, 2 tests not run. It is required here.");
});
