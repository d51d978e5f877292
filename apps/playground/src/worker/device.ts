import { wasm } from "@x/kernels-wasm";
import { webgpu } from "@x/kernels-webgpu";
import type { Device } from "@x/tensor";
import type { DeviceWords } from "../protocol.ts";

/** What a device is here, or why it cannot be had. */
interface Found extends Pick<DeviceWords, "words" | "available"> {
  /** A program that imitates it, slower than what it runs on. */
  readonly imitated?: boolean;
}

/** A kind of device. */
interface DeviceRow {
  readonly id: string;
  readonly title: string;
  look(): Promise<Found>;
  /** `lost` is called where the device goes away later on. */
  open(lost: (error: Error) => void): Promise<Device>;
}

/** The best first. */
const rows: readonly DeviceRow[] = [
  {
    id: "webgpu",
    title: "Graphics card (WebGPU)",
    async look() {
      const { gpu } = navigator;
      if (!gpu)
        return { words: `this browser has no WebGPU${isSecureContext ? "" : " for pages that do not come by https"}`, available: false };
      const adapter = await gpu.requestAdapter();
      if (!adapter) return { words: "this browser has WebGPU, but gives it no graphics card to compute on", available: false };
      const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
      const name = description || [vendor, architecture].filter(Boolean).join(" ") || "a graphics card that does not tell its name";
      const imitated = isFallbackAdapter || architecture === "swiftshader";
      return { words: imitated ? `${name}: a program that imitates one, slower than the processor` : name, available: true, imitated };
    },
    open: (lost) => webgpu({ onLost: lost }),
  },
  {
    id: "wasm",
    title: "Processor (WebAssembly)",
    async look() {
      const cores = navigator.hardwareConcurrency || 1;
      const words = crossOriginIsolated
        ? `${cores} ${cores === 1 ? "thread" : "threads"}`
        : "1 thread: this page is served without cross-origin isolation, so threads may not share memory";
      return { words, available: true };
    },
    open: () => wasm(),
  },
];

/** Every device, with whether it can be had here: those that can first, imitations behind what they run on. */
export async function lookForDevices(): Promise<DeviceWords[]> {
  const failed = (error: Error): Found => ({ words: `looking for it failed: ${error.message}`, available: false });
  const found = await Promise.all(rows.map(async ({ id, title, look }) => ({ id, title, ...(await look().catch(failed)) })));
  const rank = ({ available, imitated = false }: Found) => (available ? (imitated ? 1 : 0) : 2);
  return found.sort((a, b) => rank(a) - rank(b)).map(({ imitated, ...device }) => device);
}

/** Opens the device of this id. */
export function openDevice(id: string, lost: (error: Error) => void): Promise<Device> {
  const row = rows.find((each) => each.id === id);
  if (!row) throw new Error(`There is no device "${id}"; there are ${rows.map((each) => each.id).join(" and ")}.`);
  return row.open(lost);
}
