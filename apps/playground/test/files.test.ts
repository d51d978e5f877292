import { memorySink, openTraining, saveTraining, writeSafetensors } from "@x/checkpoint";
import { describe, expect, test } from "vitest";
import { readTextFile } from "../src/page/text-file.ts";
import { filesOn, memoryShelf } from "../src/worker/kept-files.ts";
import { describedRun } from "../src/worker/run-description.ts";
import { packRun, unpackRun } from "../src/worker/run-file.ts";

const one = (value: number) => [["a.weight", { shape: [1], dtype: "f32" as const, values: Float32Array.of(value) }]] as const;
const json = {
  trainer: { description: { preset: "gpt-tiny", steps: 9, seed: 1, text: "T", tokenizer: { kind: "characters", codePoints: [97] } } },
};
const saved = (step: number) => ({ step, tensors: { model: one(step), state: one(-step) }, json });

describe("kept checkpoints", () => {
  test("are those of a disk: the newest is found, old ones go, a folder is renamed whole", async () => {
    const files = filesOn(memoryShelf());
    for (const step of [1, 2, 3]) await saveTraining("runs/1", saved(step), { files, keep: 1 });
    expect((await files.list("runs/1")).sort()).toEqual(["latest", "step-00000003"]);
    const opened = await openTraining("runs/1", { files });
    expect(opened?.step).toBe(3);
    expect([...(await opened!.readers.state!.values("a.weight"))]).toEqual([-3]);
    await files.remove("runs/1");
    expect(await files.list("runs")).toEqual([]);
  });

  test("a file that is not there says so", async () => {
    await expect(filesOn(memoryShelf()).open("runs/x")).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("the file of a run", () => {
  const packed = async () => {
    const files = filesOn(memoryShelf());
    await saveTraining("runs/1", saved(5), { files });
    return packRun("runs/1", files);
  };

  test("makes the same checkpoint elsewhere", async () => {
    const { blob, step } = await packed();
    expect(step).toBe(5);
    const files = filesOn(memoryShelf());
    expect(await unpackRun(blob, "F", "runs/2", files)).toEqual(json);
    const opened = await openTraining("runs/2", { files });
    expect(opened).toMatchObject({ step: 5, json });
    expect([...(await opened!.readers.model!.values("a.weight"))]).toEqual([5]);
    expect([...(await opened!.readers.state!.values("a.weight"))]).toEqual([-5]);
  });

  test("holds the parts of its model; one of before there was a choice holds GPT-2", async () => {
    expect(describedRun(json, "F").parts).toEqual({});
    const parts = { mixer: "bigbird", position: "rope", numKvHeads: 1 };
    const chosen = { trainer: { description: { ...json.trainer.description, parts } } };
    const files = filesOn(memoryShelf());
    await saveTraining("runs/1", { ...saved(5), json: chosen }, { files });
    const { blob } = await packRun("runs/1", files);
    expect(describedRun(await unpackRun(blob, "F", "runs/2", files), "F")).toMatchObject({ parts, preset: { id: "gpt-tiny" } });
  });

  const refusal = async (file: Blob) => {
    const files = filesOn(memoryShelf());
    const error = await unpackRun(file, "F.bin", "runs/2", files).catch((error: Error) => error.message);
    expect(await files.list("runs")).toEqual([]);
    return error;
  };

  test("is refused with words when it is none", async () => {
    expect(await refusal(new Blob(["no such thing at all"]))).toMatch(/^F\.bin: not a safetensors file/);
    const { blob } = await packed();
    expect(await refusal(blob.slice(0, blob.size - 3))).toMatch(/^F\.bin: .* The file was cut short/);
    const sink = memorySink();
    await writeSafetensors(one(1), sink);
    expect(await refusal(new Blob([sink.bytes() as Uint8Array<ArrayBuffer>]))).toMatch(/not one that this page saved/);
  });

  test("of a model that this page does not have is refused by its name", () => {
    const other = { trainer: { description: { ...json.trainer.description, preset: "gpt-huge" } } };
    expect(() => describedRun(other, "F")).toThrow('F: holds a model "gpt-huge", which this page does not have');
    const later = { trainer: { description: { ...json.trainer.description, parts: { mixer: "retention" } } } };
    expect(() => describedRun(later, "F")).toThrow('F: holds a model with mixer "retention", which this page does not have');
    expect(() => describedRun({}, "F")).toThrow("F: does not say which model it holds");
  });
});

describe("a text file", () => {
  const read = (parts: BlobPart[]) => readTextFile(new Blob(parts), "T").catch((error: Error) => error.message);

  test("is read as UTF-8", async () => expect(await read(["Grüße\n"])).toBe("Grüße\n"));
  test("that is none is refused with words", async () => {
    expect(await read([])).toMatch(/T: the file is empty/);
    expect(await read([Uint8Array.of(65, 0, 66)])).toMatch(/T: is no text file/);
    expect(await read([Uint8Array.of(0xe4, 0x20)])).toMatch(/T: is not UTF-8/);
    expect(await read([new Uint8Array(33 * 2 ** 20).fill(65)])).toMatch(/T: has 33\.0 MB, at most 32\.0 MB/);
  });
});
