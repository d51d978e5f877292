import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAppend } from "../../src/metrics/append-file.browser.ts";
import { crc32c, maskedCrc32c } from "../../src/metrics/crc32c.ts";
import { encodeEvent, frame } from "../../src/metrics/event.ts";
import { jsonlMetrics } from "../../src/metrics/jsonl.ts";
import { type MetricsRecord, metrics } from "../../src/metrics/metrics.ts";
import { tensorBoardMetrics } from "../../src/metrics/tensorboard.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "x-train-"));
});
afterAll(() => rm(directory, { recursive: true }));

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("jsonlMetrics", () => {
  test("one object a line, readable at once, nothing lost that JSON has no form for", async () => {
    const path = join(directory, "new/run/metrics.jsonl");
    const sink = jsonlMetrics(path);
    sink.write({ step: 1, loss: 2.5, lr: 1e-3 });
    sink.write({ step: 2, loss: Number.NaN, lr: Number.POSITIVE_INFINITY });
    expect(await readFile(path, "utf8")).toBe('{"step":1,"loss":2.5,"lr":0.001}\n{"step":2,"loss":"NaN","lr":"Infinity"}\n');
    sink.close();
  });

  test("resuming takes away what came after the step, and a torn line", async () => {
    const path = join(directory, "resumed.jsonl");
    const first = jsonlMetrics(path);
    for (let step = 1; step <= 5; step++) first.write({ step, text: "é" });
    first.close();
    await appendFile(path, '{"step":6,"te');

    const torn = jsonlMetrics(path, { resumeStep: 9 });
    torn.close();
    const second = jsonlMetrics(path, { resumeStep: 3 });
    second.write({ step: 4, text: "again" });
    second.close();
    const records = (await readFile(path, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(records.map(({ step, text }) => [step, text])).toEqual([
      [1, "é"],
      [2, "é"],
      [3, "é"],
      [4, "again"],
    ]);
  });

  test("a file with records is not overwritten unasked", async () => {
    const path = join(directory, "kept.jsonl");
    const sink = jsonlMetrics(path);
    sink.write({ step: 1 });
    sink.close();
    expect(() => jsonlMetrics(path)).toThrow(/kept\.jsonl already holds 11 bytes\. Resume that run/);
    expect(await readFile(path, "utf8")).toBe('{"step":1}\n');
    jsonlMetrics(path, { overwrite: true }).close();
    expect(await readFile(path, "utf8")).toBe("");
  });

  test("what cannot be written says which file", () => {
    expect(() => jsonlMetrics(directory)).toThrow(/cannot be written: EISDIR/);
    expect(() => openAppend("m.jsonl", () => 0)).toThrow("metrics: m.jsonl cannot be written: files are for Node");
  });
});

describe("crc32c", () => {
  test("the vectors of RFC 3720 and the check value", () => {
    const vectors: [Uint8Array, number][] = [
      [new TextEncoder().encode("123456789"), 0xe3069283],
      [new Uint8Array(32), 0x8a9136aa],
      [new Uint8Array(32).fill(0xff), 0x62a8ab43],
      [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
      [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ];
    for (const [bytes, crc] of vectors) expect(crc32c(bytes)).toBe(crc);
  });

  test("masked: rotated right by 15, plus 0xa282ead8", () => {
    const crc = 0xe3069283n;
    const masked = (((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn;
    expect(maskedCrc32c(new TextEncoder().encode("123456789"))).toBe(Number(masked));
  });
});

/** Reads event files back: frames with their CRCs checked, then fields by number, by wire type alone. */
function parse(file: Uint8Array): Map<number, unknown>[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const events: Map<number, unknown>[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc32c(data));
    events.push(new Map(fields(data)));
    at += length + 16;
  }
  return events;
}

function* fields(data: Uint8Array): Generator<[number, unknown]> {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = data[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  const take = (length: number) => {
    at += length;
    return data.subarray(at - length, at);
  };
  const number = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const readers: Record<number, () => unknown> = {
    0: varint,
    1: () => number(take(8)).getFloat64(0, true),
    2: () => take(varint()),
    5: () => number(take(4)).getFloat32(0, true),
  };
  while (at < data.length) {
    const key = varint();
    yield [key >> 3, readers[key & 7]!()];
  }
}

const text = (bytes: unknown) => new TextDecoder().decode(bytes as Uint8Array);

describe("TensorBoard", () => {
  test("the bytes of the first record, as TensorFlow 2 writes them", () => {
    const version = encodeEvent({ wallTime: 1, fileVersion: "brain.Event:2" });
    expect(hex(version)).toBe("09000000000000f03f1a0d627261696e2e4576656e743a32");
    const record = frame(version);
    expect(hex(record.subarray(0, 8))).toBe("1800000000000000");
    // Every TensorBoard file begins with this: a record of 24 bytes and the masked CRC of that length.
    expect(hex(record.subarray(8, 12))).toBe("a37f4b22");
    expect(record.length).toBe(40);
  });

  test("the bytes of a scalar", () => {
    const event = encodeEvent({ wallTime: 1, step: 300, scalars: [["loss", 0.5]] });
    expect(hex(event)).toBe("09000000000000f03f" + "10ac02" + "2a0d" + "0a0b" + "0a046c6f7373" + "150000003f");
  });

  test("a file read back: version, numbers by tag, large steps", async () => {
    const logs = join(directory, "logs");
    const sink = tensorBoardMetrics(logs, { now: () => 1_700_000_000.25 });
    sink.write({ step: 1, loss: 2.5, note: "not a number" });
    sink.write({ step: 2 ** 40, valLoss: Number.NaN });
    sink.write({ step: 3, note: "none" });
    sink.close();
    const [name] = await readdir(logs);
    expect(name).toMatch(/^events\.out\.tfevents\.1700000000\./);
    const events = parse(await readFile(join(logs, name!)));
    expect(events.length).toBe(3);
    expect(events.map((event) => event.get(1))).toEqual([1_700_000_000.25, 1_700_000_000.25, 1_700_000_000.25]);
    expect(text(events[0]!.get(3))).toBe("brain.Event:2");
    expect(events.slice(1).map((event) => event.get(2))).toEqual([1, 2 ** 40]);
    const scalars = events.slice(1).map((event) => {
      const value = new Map(fields(new Map(fields(event.get(5) as Uint8Array)).get(1) as Uint8Array));
      return [text(value.get(1)), value.get(2)];
    });
    expect(scalars).toEqual([
      ["loss", 2.5],
      ["valLoss", Number.NaN],
    ]);
  });

  test("a resumed run tells TensorBoard to forget what came after", async () => {
    const logs = join(directory, "resumed-logs");
    tensorBoardMetrics(logs, { resumeStep: 40, now: () => 1 }).close();
    const [name] = await readdir(logs);
    const [, start] = parse(await readFile(join(logs, name!)));
    expect(start!.get(2)).toBe(41);
    expect(new Map(fields(start!.get(7) as Uint8Array)).get(1)).toBe(1);
  });
});

test("metrics: each record to all sinks; all are closed even if one fails", () => {
  const seen: string[] = [];
  const sink = (name: string, fail = false) => ({
    write: (record: MetricsRecord) => void seen.push(`${name}${record.step}`),
    close: () => {
      seen.push(`${name} closed`);
      if (fail) throw new Error("disk full");
    },
  });
  const all = metrics([sink("a", true), sink("b")]);
  all.write({ step: 1 });
  all.write({ step: 2 });
  expect(() => all.close()).toThrow("disk full");
  expect(seen).toEqual(["a1", "b1", "a2", "b2", "a closed", "b closed"]);
});
