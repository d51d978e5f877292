import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors } from "@x/checkpoint";
import { fromPretrained } from "@x/models";
import { type Device, setDefaultDevice } from "@x/tensor";
import { type ParityDirectory, readParity, readParityModules } from "@x/testing";
import { runForward } from "./forward.ts";
import { runGenerations } from "./generation.ts";
import { isKnownLayer, knownLayers, runLayer } from "./layers.ts";
import type { Report } from "./report.ts";
import { runSegments } from "./segments.ts";
import { runTraining } from "./training.ts";
import { UnsupportedError } from "./unsupported.ts";

const architectures = [
  "GPT2LMHeadModel",
  "LlamaForCausalLM",
  "MistralForCausalLM",
  "Qwen2ForCausalLM",
  "Qwen3ForCausalLM",
  "TransfoXLLMHeadModel",
];

/** Compares everything that a parity directory holds with what is made of it on the device. */
export async function checkParity(directory: string, device: Device): Promise<Report> {
  setDefaultDevice(device);
  if (!existsSync(join(directory, "parity.json"))) return checkLayers(directory, device);
  const parity = await readParity(directory, openSafetensors);
  refuseUnknown(parity);
  const pretrained = await fromPretrained(directory);
  const family = String(parity.config.model_type);
  if (parity.train) return { family, device: device.name, outputs: await runTraining(parity, pretrained, device), generations: [] };
  if (parity.segments) return { family, device: device.name, outputs: await runSegments(parity, pretrained), generations: [] };
  const outputs = await runForward(parity, pretrained);
  return { family, device: device.name, outputs, generations: await runGenerations(parity, pretrained.model) };
}

function refuseUnknown({ directory, architecture }: ParityDirectory): void {
  if (!architectures.includes(architecture))
    throw new UnsupportedError(`${directory}: the architecture ${architecture} is not supported; known are ${architectures.join(", ")}.`);
}

async function checkLayers(directory: string, device: Device): Promise<Report> {
  const isFolder = existsSync(directory) && readdirSync(directory).some((name) => name.endsWith(".json"));
  if (!isFolder) throw new UnsupportedError(`${directory}: has neither a parity.json nor modules; is this a parity directory?`);
  const modules = await readParityModules(directory, openSafetensors);
  const unknown = modules.filter((module) => !isKnownLayer(module)).map(({ name }) => name);
  if (unknown.length === modules.length)
    throw new UnsupportedError(`${directory}: none of ${unknown.join(", ")} is supported; known are ${knownLayers().join(", ")}.`);
  if (unknown.length > 0) console.error(`${directory}: left out, as not supported: ${unknown.join(", ")}`);
  const outputs = [];
  for (const module of modules.filter(isKnownLayer)) outputs.push(...(await runLayer(module)));
  return { family: "layers", device: device.name, outputs, generations: [] };
}
