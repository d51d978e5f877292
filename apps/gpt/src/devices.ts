import { wasm } from "@x/kernels-wasm";
import { type Device, reference, setDefaultDevice, TensorError } from "@x/tensor";

const devices: Readonly<Record<string, (options: { threads?: number }) => Promise<Device>>> = {
  wasm: (options) => wasm(options),
  reference: async () => reference(),
};

/** The device of that name, made the default. */
export async function openDevice(name: string, options: { threads?: number } = {}): Promise<Device> {
  const open = devices[name];
  if (!open) throw new TensorError(`--device: there is no device "${name}"; there are ${Object.keys(devices).join(" and ")}.`);
  const device = await open(options);
  setDefaultDevice(device);
  return device;
}
