import { wasm } from "@x/kernels-wasm";
import { webgpu } from "@x/kernels-webgpu";
import { type Device, reference } from "@x/tensor";
import { UnsupportedError } from "./unsupported.ts";

const devices: Readonly<Record<string, () => Promise<Device>>> = {
  wasm: () => wasm(),
  webgpu: () => webgpu(),
  reference: async () => reference(),
};

/** The device of that name. */
export async function openDevice(name: string): Promise<Device> {
  const open = devices[name];
  if (!open) throw new UnsupportedError(`--device: there is no device "${name}"; there are ${Object.keys(devices).join(", ")}.`);
  return open();
}
