import { wasm } from "@x/kernels-wasm";
import type { Device } from "@x/tensor";
import type { DeviceWords } from "../protocol.ts";

/** A row for each kind of device, the best first. */
interface DeviceRow {
  readonly id: string;
  readonly title: string;
  /** What it is here, or why it cannot be had. */
  look(): Promise<Pick<DeviceWords, "words" | "available">>;
  /** `lost` is called where the device goes away later on. */
  open(lost: (error: Error) => void): Promise<Device>;
}

const rows: readonly DeviceRow[] = [
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

/** Every device, with whether it can be had here. */
export const lookForDevices = (): Promise<DeviceWords[]> =>
  Promise.all(rows.map(async ({ id, title, look }) => ({ id, title, ...(await look()) })));

/** Opens the device of this id. */
export function openDevice(id: string, lost: (error: Error) => void): Promise<Device> {
  const row = rows.find((each) => each.id === id);
  if (!row) throw new Error(`There is no device "${id}"; there are ${rows.map((each) => each.id).join(" and ")}.`);
  return row.open(lost);
}
