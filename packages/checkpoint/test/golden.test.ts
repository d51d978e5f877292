import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { crc32 as portable } from "../src/crc32.ts";
import { memorySink, openSafetensors, writeSafetensors } from "../src/index.ts";
import { crc32 as native } from "../src/platform.node.ts";

const path = fileURLToPath(new URL("fixtures/every-dtype.safetensors", import.meta.url));
const expected = JSON.parse(await readFile(new URL("fixtures/every-dtype.json", import.meta.url), "utf8")) as Record<
  string,
  { shape: number[]; values: (number | boolean | string)[] }
>;
const special: Record<string, number> = { nan: Number.NaN, inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, "-0": -0 };
const plain = (value: number | boolean | string): number => (typeof value === "string" ? special[value]! : Number(value));

test.each([8, 16, 2 ** 24])(
  "every dtype of a published file has the values PyTorch gives, read in chunks of %i bytes",
  async (chunkBytes) => {
    const file = await openSafetensors(path, { chunkBytes });
    expect(file.metadata.get("note")).toBe("ä");
    for (const [name, { shape, values }] of Object.entries(expected)) {
      expect(file.tensors.get(name)?.shape).toEqual(shape);
      expect([name, ...(await file.values(name))]).toEqual([name, ...values.map(plain)]);
    }
    await expect(file.values("C64")).rejects.toThrow(/tensor "C64": C64 values cannot be read/);
    expect(await file.bytes("C64")).toHaveLength(8);
    await expect(file.values("F64", "f32")).rejects.toThrow(/narrow: true/);
    expect((await file.values("F64", "f32", { narrow: true }))[9]).toBe(Math.fround(Math.PI));
    await file.close();
  },
);

test("what is written has the bytes of the published writer", async () => {
  const file = await openSafetensors(path);
  const tensors = new Map(
    await Promise.all(
      (["F64", "F32", "F16", "BF16", "I32", "U8", "BOOL", "empty"] as const).map(async (name) => {
        const dtype = { F64: "f64", F32: "f32", F16: "f16", BF16: "bf16", I32: "i32", U8: "u8", BOOL: "bool", empty: "f32" } as const;
        return [name, { shape: file.tensors.get(name)!.shape, dtype: dtype[name], values: await file.values(name) }] as const;
      }),
    ),
  );
  const sink = memorySink();
  await writeSafetensors(tensors, sink);
  const again = await openSafetensors(sink.bytes());
  for (const [name] of tensors) expect(await again.bytes(name)).toEqual(await file.bytes(name));
  for (const info of again.tensors.values())
    expect(info.begin % Math.max(1, (info.end - info.begin) / (info.shape.reduce((a, b) => a * b, 1) || 1))).toBe(0);
  await file.close();
});

test("the portable checksum is the native one", () => {
  const bytes = Uint8Array.from({ length: 1003 }, (_, i) => (i * i * 31) >> 3);
  for (const length of [0, 1, 3, 4, 7, 1003]) expect(portable(bytes.subarray(0, length))).toBe(native(bytes.subarray(0, length)));
  expect(portable(bytes.subarray(500), portable(bytes.subarray(0, 500)))).toBe(native(bytes));
});
