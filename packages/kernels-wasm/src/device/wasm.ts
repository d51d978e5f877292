import { Device, type DeviceOptions } from "@x/tensor";
import { wasmKernels } from "../kernels/all.ts";
import { Runtime, type RuntimeOptions } from "../runtime.ts";
import { WasmDriver } from "./driver.ts";

export interface WasmOptions extends DeviceOptions, RuntimeOptions {}

/**
 * The processor as a device: WebAssembly SIMD on as many threads as the machine has (`threads`), in Node and in browsers. `kernels` are added to the
 * built-in ones and win over them; `close()` ends the threads.
 */
export async function wasm(options: WasmOptions = {}): Promise<Device> {
  const runtime = new Runtime(options);
  return new Device(new WasmDriver(runtime), { ...options, kernels: [...wasmKernels(), ...(options.kernels ?? [])] });
}
