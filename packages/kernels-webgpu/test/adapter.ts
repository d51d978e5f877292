import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Device } from "@x/tensor";
import { type DeviceEntry, describeDevices } from "@x/testing";
import { describe, test } from "vitest";
import { type WebgpuOptions, webgpu } from "../src/index.ts";

/** The Vulkan drivers of Debian that need no GPU: Chromium brings SwiftShader, mesa-vulkan-drivers lavapipe (25 and later). */
const places = { swiftshader: "/usr/lib/chromium/vk_swiftshader_icd.json", lavapipe: "/usr/share/vulkan/icd.d/lvp_icd*.json" };
export type Software = keyof typeof places;

function driverFile(name: Software): string | undefined {
  const [folder, pattern] = [dirname(places[name]), places[name].slice(dirname(places[name]).length + 1)];
  const [start, end] = pattern.split("*") as [string, string | undefined];
  if (!existsSync(folder)) return undefined;
  const file = readdirSync(folder).find((entry) => (end === undefined ? entry === start : entry.startsWith(start) && entry.endsWith(end)));
  return file && join(folder, file);
}

/**
 * A device on a software adapter; rejects with the reason where that is not installed. With WEBGPU_DRIVER=default in the environment it is the machine's own adapter instead.
 * A process loads its drivers once, so a test file names one of them.
 */
export async function openAdapter(driver: Software = "swiftshader", options: WebgpuOptions = {}): Promise<Device> {
  if (process.env.WEBGPU_DRIVER !== "default") {
    const file = driverFile(driver);
    if (!file) throw new Error(`the ${driver} driver is not installed`);
    process.env.VK_DRIVER_FILES = file;
  }
  return webgpu(options);
}

/** An entry of a device matrix. Continuous integration must have SwiftShader; lavapipe is a bonus. */
export const adapterEntry = (driver: Software = "swiftshader", options: WebgpuOptions = {}): DeviceEntry => ({
  name: `webgpu on ${driver}`,
  required: driver === "swiftshader" && process.env.CI === "true",
  open: () => openAdapter(driver, options),
});

/** Registers tests on a software adapter, or one skipped test that says why not. Await it at the top of a test file. */
export const onAdapter = (body: (device: Device) => void, driver: Software = "swiftshader", options: WebgpuOptions = {}): Promise<void> =>
  describeDevices([adapterEntry(driver, options)], body, { describe, test });
