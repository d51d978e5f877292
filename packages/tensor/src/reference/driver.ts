import { Device, type DeviceOptions } from "../device.ts";
import type { DType } from "../dtype.ts";
import { OutOfMemoryError } from "../errors.ts";
import type { Binding, BoundStep, Driver } from "../kernel.ts";
import { tensorInterface } from "../kernel.ts";
import { referenceKernels } from "./kernels.ts";

/** What a launch of this device is: plain code on the bytes behind the names. */
export interface ReferenceLaunch {
  run(memory: Readonly<Record<string, Uint8Array>>): void;
}

const all: readonly DType[] = ["f64", "f32", "f16", "bf16", "i32", "u32", "u8", "bool"];
const bytesOf = ({ storage, offset, bytes }: Binding): Uint8Array =>
  new Uint8Array(storage as ArrayBuffer, offset, Math.min(bytes, (storage as ArrayBuffer).byteLength - offset));

function execute({ launches, bindings }: BoundStep): void {
  const memory = Object.fromEntries(Object.entries(bindings).map(([name, binding]) => [name, bytesOf(binding)]));
  for (const launch of launches) (launch as ReferenceLaunch).run(memory);
}

const driver = (): Driver => ({
  name: "reference",
  interface: tensorInterface,
  dtypes: all,
  caps: {},
  alignment: 1,
  allocate(bytes) {
    try {
      return new ArrayBuffer(bytes);
    } catch (cause) {
      throw new OutOfMemoryError(`device reference: the host refused ${bytes} bytes. Use smaller tensors, or free some.`, { cause });
    }
  },
  release() {},
  write: (storage, offset, bytes) => new Uint8Array(storage as ArrayBuffer).set(bytes, offset),
  read: async (storage, offset, bytes) => new Uint8Array(storage as ArrayBuffer).slice(offset, offset + bytes),
  run: execute,
  build: (steps) => ({ run: () => steps.forEach(execute), release() {} }),
  settled: async () => {},
  close() {},
});

/** The device that defines what is right: every primitive in plain loops, all dtypes, f64 too. Slow and obvious. */
export function reference(options: DeviceOptions = {}): Device {
  return new Device(driver(), { ...options, kernels: [...referenceKernels(), ...(options.kernels ?? [])] });
}
