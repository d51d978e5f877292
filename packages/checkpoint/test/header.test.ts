import fc from "fast-check";
import { expect, test } from "vitest";
import { CheckpointError, memorySink, openSafetensors, writeSafetensors } from "../src/index.ts";

/** A file of this header (text, or an object) and as many bytes of data. */
function fileOf(header: unknown, data = 0, claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const f32 = (shape: unknown, begin: number, end: number, dtype = "F32") => ({ dtype, shape, data_offsets: [begin, end] });

test.each<[string, Uint8Array, RegExp]>([
  ["empty file", new Uint8Array(0), /at least 8 bytes, received 0/],
  ["short prefix", new Uint8Array(5), /at least 8 bytes, received 5/],
  ["huge header", fileOf("{}", 0, 2n ** 63n), /claims 9223372036854775808 bytes/],
  ["header past the end", fileOf("{}", 0, 90n), /claims 90 bytes, 2 follow/],
  ["no brace", fileOf(" {}"), /must start with "\{"/],
  ["no JSON", fileOf("{a}"), /no JSON object/],
  ["bad UTF-8", Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x20, 0x7d), /UTF-8/],
  [
    "duplicate name",
    fileOf('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    /names "a" twice/,
  ],
  ["duplicate field", fileOf('{"a":{"dtype":"F32","dtype":"I32","shape":[0],"data_offsets":[0,0]}}'), /names "dtype" twice/],
  ["metadata", fileOf({ __metadata__: { a: 1 } }), /strings to strings, received 1 under "a"/],
  ["metadata list", fileOf({ __metadata__: [] }), /object of strings/],
  ["no entry", fileOf({ a: 3 }), /tensor "a": expected \{dtype/],
  ["bad dtype", fileOf({ a: f32([1], 0, 4, "constructor") }, 4), /tensor "a": dtype must be one of F64.*received "constructor"/],
  ["negative", fileOf({ a: f32([-1], 0, 4) }, 4), /tensor "a": shape must be.*\[-1\]/],
  ["fraction", fileOf({ a: f32([1.5], 0, 6) }, 6), /shape must be.*\[1.5\]/],
  ["huge size", fileOf('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4), /shape must be/],
  ["overflow", fileOf({ a: f32([2 ** 32, 2 ** 32], 0, 0) }), /more bytes than can be counted/],
  ["size", fileOf({ a: f32([2], 0, 4) }, 4), /F32 \[2\] needs 8, received data_offsets of 4 bytes/],
  ["sub-byte", fileOf({ a: f32([3], 0, 1, "F4") }, 1), /no whole number/],
  ["backwards", fileOf({ a: f32([0], 4, 0) }, 4), /begin <= end/],
  ["truncated", fileOf({ a: f32([2], 0, 8) }, 7), /ends at byte 8 of the data, which has 7/],
  ["trailing", fileOf({ a: f32([1], 0, 4) }, 5), /1 bytes follow tensor "a"/],
  ["trailing without tensors", fileOf({}, 3), /3 bytes follow the header/],
  ["hole", fileOf({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /"b" leaves a hole after tensor "a"/],
  ["overlap", fileOf({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8), /"b" overlaps tensor "a"/],
])("refuses: %s", async (_, bytes, message) => {
  const error = await openSafetensors(bytes).catch((reason: unknown) => reason);
  expect(CheckpointError.isInstance(error)).toBe(true);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message).toMatch(/^bytes in memory: /);
});

test("names like __proto__ are names", async () => {
  const file = await openSafetensors(
    fileOf(
      '{"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"toString":{"dtype":"U8","shape":[0,5],"data_offsets":[1,1]}}  ',
      1,
    ),
  );
  expect([...file.tensors.keys()]).toEqual(["__proto__", "toString"]);
  const sink = memorySink();
  await writeSafetensors([["__proto__", { shape: [1], dtype: "u8", values: Uint8Array.of(7) }]], sink);
  expect(await (await openSafetensors(sink.bytes())).values("__proto__")).toEqual(Uint8Array.of(7));
});

test("integers out of range name the element", async () => {
  const bytes = fileOf({ a: f32([2], 0, 16, "I64") }, 16);
  new DataView(bytes.buffer).setBigInt64(bytes.length - 8, 2n ** 62n + 1n, true);
  await expect((await openSafetensors(bytes)).values("a")).rejects.toThrow(/tensor "a": element 1 is 4611686018427387905, outside of i32/);
});

const sample = memorySink();
await writeSafetensors(
  [
    ["w", { shape: [2, 3], dtype: "f32", values: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["h", { shape: [3], dtype: "f16", values: Float32Array.of(1, 2, 3) }],
    ["n", { shape: [2], dtype: "i32", values: Int32Array.of(-1, 7) }],
  ],
  sample,
);
const good = sample.bytes();
const headerEnd = 8 + new DataView(good.buffer).getUint32(0, true);

/** Reads all of a file; sizes of reads are bounded by the file, so no allocation is of an attacker's choice. */
async function readAll(bytes: Uint8Array): Promise<[string, string, number[]][]> {
  let largest = 0;
  const file = await openSafetensors({
    name: "fuzzed",
    size: async () => bytes.length,
    read: async (begin, end) => {
      largest = Math.max(largest, end - begin);
      return bytes.slice(begin, end);
    },
  });
  const all: [string, string, number[]][] = [];
  for (const [name, { dtype, shape }] of file.tensors) all.push([name, `${dtype} ${shape}`, [...(await file.bytes(name))]]);
  expect(largest).toBeLessThanOrEqual(bytes.length);
  return all;
}

async function survives(bytes: Uint8Array): Promise<void> {
  try {
    const all = await readAll(bytes);
    // Accepted: then the tensors tile the data exactly.
    expect(all.reduce((sum, [, , data]) => sum + data.length, 0)).toBe(
      bytes.length - 8 - new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true),
    );
  } catch (error) {
    if (!CheckpointError.isInstance(error)) throw error;
  }
}

test("byte flips give an error or a file that is whole", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(headerEnd - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 }),
      (flips) => {
        const bytes = good.slice();
        for (const [at, bits] of flips) bytes[at]! ^= bits;
        return survives(bytes);
      },
    ),
    { numRuns: 1500 },
  ));

test("every truncation and every extension is an error", async () => {
  for (let length = 0; length < good.length; length++)
    await expect(readAll(good.slice(0, length))).rejects.toSatisfy(CheckpointError.isInstance);
  await expect(readAll(Uint8Array.of(...good, 0))).rejects.toThrow(/1 bytes follow/);
});

test("hostile headers are an error or whole", () => {
  const count = fc.oneof(fc.nat(16), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e300, -0), fc.constantFrom<unknown>("1", null, [], {}));
  const entry = fc.record(
    {
      dtype: fc.constantFrom("F32", "U8", "F4", "I64", "x", 3),
      shape: fc.array(count, { maxLength: 3 }),
      data_offsets: fc.array(count, { maxLength: 3 }),
    },
    { requiredKeys: [] },
  );
  const header = fc.dictionary(fc.constantFrom("a", "b", "__metadata__", "__proto__", ""), fc.oneof(entry, fc.jsonValue()));
  return fc.assert(
    fc.asyncProperty(header, fc.nat(40), (value, data) => survives(fileOf(value, data))),
    { numRuns: 1500 },
  );
});

test("what is written is read again, whatever the names and shapes", () =>
  fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(
        fc.tuple(fc.string({ unit: "binary" }), fc.array(fc.nat(4), { maxLength: 3 }), fc.constantFrom("f64", "f32", "i32", "u8")),
        { selector: ([name]) => name, maxLength: 6 },
      ),
      async (entries) => {
        const tensors = entries.map(([name, shape, dtype]) => {
          const length = shape.reduce((a, b) => a * b, 1);
          const make = { f64: Float64Array, f32: Float32Array, i32: Int32Array, u8: Uint8Array }[dtype];
          return [name, { shape, dtype, values: make.from(Array.from({ length }, (_, i) => i + name.length)) }] as const;
        });
        const sink = memorySink();
        await writeSafetensors(tensors, sink);
        const file = await openSafetensors(sink.bytes());
        expect(file.tensors.size).toBe(tensors.length);
        for (const [name, { values, dtype, shape }] of tensors) {
          expect(await file.values(name, dtype)).toEqual(values);
          expect(file.tensors.get(name)!.shape).toEqual(shape);
        }
      },
    ),
    { numRuns: 200 },
  ));
