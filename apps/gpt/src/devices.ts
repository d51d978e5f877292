import { wasm } from "@x/kernels-wasm";
import { webgpu } from "@x/kernels-webgpu";
import { type Device, reference, setDefaultDevice, TensorError } from "@x/tensor";
import { number, text, type Values } from "./options.ts";

/** The options that say where to compute. */
export const deviceOptions = { device: { type: "string" }, threads: { type: "string" } } as const;

const devices: ReadonlyMap<string, (options: { readonly threads?: number }) => Promise<Device>> = new Map([
  ["wasm", (options) => wasm(options)],
  ["webgpu", async () => webgpu()],
  ["reference", async () => reference()],
]);

/** The device that `--device` and `--threads` ask for, made the default. */
export async function openDevice(values: Values = {}): Promise<Device> {
  const name = text(values, "device") ?? "wasm";
  const threads = number(values, "threads", { min: 1, whole: true });
  const open = devices.get(name);
  if (!open) throw new TensorError(`--device: there is no device "${name}"; there are ${[...devices.keys()].join(", ")}.`);
  const device = await open(threads === undefined ? {} : { threads });
  setDefaultDevice(device);
  return device;
}
