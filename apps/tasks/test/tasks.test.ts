import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../src/main.ts";
import { markdown, worst } from "../src/table.ts";

describe("a table", () => {
  test("takes the worst seed of each number; one that diverged is worst", () => {
    expect(
      worst([
        { a: 1, b: 5 },
        { a: 2, b: 4 },
      ]),
    ).toEqual({ a: 2, b: 5 });
    expect(worst([{ a: 1 }, { a: Number.NaN }, { a: 3 }])).toEqual({ a: Number.NaN });
  });
  test("is Markdown, with whole numbers in thousands", () => {
    const rows = [
      { name: "x", values: { loss: 1.23456, bytes: 12345 } },
      { name: "y", values: { loss: Number.NaN } },
    ];
    expect(markdown("what", rows).split("\n")).toEqual([
      "| what | loss | bytes |",
      "| --- | --: | --: |",
      "| x | 1.235 | 12,345 |",
      "| y | diverged |  |",
    ]);
  });
});

describe("tasks on a small text, with hardly any training", () => {
  let folder = "";
  let data = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tasks-"));
    data = join(folder, "text.txt");
    await writeFile(data, Array.from({ length: 4000 }, (_, i) => `line ${(i * i) % 97} of a text\n`).join(""));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const run = async (...args: string[]) => {
    const save = join(folder, "tasks.md");
    expect(await main([...args, "--data", data, "--seeds", "1", "--threads", "1", "--save", save], () => {})).toBe(0);
    return readFile(save, "utf8");
  };
  /** Numbers of the table's row that begins with `name`. */
  const rowOf = (text: string, name: string) =>
    text
      .split("\n")
      .find((line) => line.startsWith(`| ${name} |`))!
      .split("|")
      .slice(2, -1)
      .map((cell) => Number(cell.replaceAll(",", "")));

  test("extrapolation: a loss at each length; ALiBi's holds where learned positions' does not", async () => {
    const text = await run("extrapolation", "--effort", "0.1", "--only", "a");
    const [learned, alibi] = [rowOf(text, "learned"), rowOf(text, "alibi")];
    for (const row of [learned, alibi]) expect(row).toHaveLength(5);
    expect(learned[4]! - learned[0]!).toBeGreaterThan(0.1);
    expect(Math.abs(alibi[4]! - alibi[0]!)).toBeLessThan(0.1);
  });

  test("stability: a loss with warm-up and without", async () => {
    const row = rowOf(await run("stability", "--effort", "0.1", "--only", "pre-norm, 6"), "pre-norm, 6 layers");
    expect(row).toHaveLength(2);
    for (const loss of row) expect(loss).toBeGreaterThan(0.5);
  });

  test("cache: an eighth of the heads takes an eighth of the bytes, 8 bits take less than half of f32's", async () => {
    const text = await run("cache", "--effort", "0.02");
    const bytesOf = (name: string) => rowOf(text, name)[0]!;
    const mha = bytesOf("MHA, 8 heads of keys and values");
    expect(mha).toBe(2 * 2 * 8 * 8 * 4 * 4096);
    expect(bytesOf("MQA, 1")).toBe(mha / 8);
    expect(bytesOf("MHA in 8 bits")).toBe((mha / 32) * 12);
  });
});

test("what is unknown is said", async () => {
  await expect(main(["flying"])).rejects.toThrow(/There is no task "flying"; there are extrapolation, stability, cache/);
  await expect(main(["cache", "--effort", "none"])).rejects.toThrow(/--effort: expected a number above 0/);
  await expect(main(["cache", "--seeds", "1,x"])).rejects.toThrow(/--seeds: expected whole numbers/);
});
