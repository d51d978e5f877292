import { mkdtemp, writeFile as put, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { openSafetensors, openWeights, urlSource, writeWeights } from "../src/index.ts";

const directory = await mkdtemp(`${tmpdir()}/weights-`);
const tensors = new Map(
  ["a", "b", "c"].map((name, i) => [name, { shape: [4], dtype: "f32" as const, values: Float32Array.of(i, 1, 2, 3) }]),
);

test("shards and their index are read as one; damage names the shard", async () => {
  await writeWeights(tensors, directory, { maxShardBytes: 32 });
  expect((await readdir(directory)).sort()).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  const file = await openWeights(directory);
  for (const [name, { values }] of tensors) expect(await file.values(name)).toEqual(values);
  await expect(file.values("d")).rejects.toThrow(/has no tensor "d"/);
  await file.close();

  const index = `${directory}/model.safetensors.index.json`;
  const text = await readFile(index, "utf8");
  const broken = async (from: RegExp, to: string) => {
    await put(index, text.replace(from, to));
    return openWeights(directory).then(
      () => "opened",
      (error: Error) => error.message,
    );
  };
  expect(await broken(/"a": "[^"]*"/, '"a": "../a.safetensors"')).toMatch(/plain name/);
  expect(await broken(/"a": "[^"]*"/, '"a": "other.safetensors"')).toMatch(/shard "other.safetensors" cannot be opened.*ENOENT/);
  expect(await broken(/"a":/, '"x": "model-00001-of-00002.safetensors", "a":')).toMatch(/"x" is listed in .* does not have it/);
  expect(await broken(/"a": "[^"]*",/, "")).toMatch(/has tensor "a", which the index does not list/);
  expect(await broken(/\{/, "")).toMatch(/no JSON/);
  await writeWeights(tensors, directory);
  const single = await openWeights(directory);
  expect([...single.tensors.keys()]).toEqual(["a", "b", "c"]);
  await single.close();
});

test("blobs and addresses are read by range", async () => {
  const bytes = await readFile(`${directory}/model.safetensors`);
  expect((await openSafetensors(new Blob([bytes]))).tensors.size).toBe(3);
  const asked: string[] = [];
  const serve = (async (_url: string, init: RequestInit) => {
    const range = (init.headers as Record<string, string>).Range!;
    asked.push(range);
    const [begin, end] = range.slice(6).split("-").map(Number) as [number, number];
    return new Response(bytes.subarray(begin, end + 1), {
      status: 206,
      headers: { "content-range": `bytes ${begin}-${end}/${bytes.length}` },
    });
  }) as typeof fetch;
  const file = await openSafetensors(urlSource("https://host/file", { fetch: serve }));
  asked.length = 0;
  expect(await file.values("b")).toEqual(tensors.get("b")!.values);
  expect(asked).toEqual([`bytes=${file.tensors.get("b")!.begin}-${file.tensors.get("b")!.end - 1}`]);
  const whole = (async () => new Response("all", { status: 200 })) as typeof fetch;
  await expect(openSafetensors(urlSource("https://host/file", { fetch: whole }))).rejects.toThrow(/ignores Range/);
  await rm(directory, { recursive: true });
});
