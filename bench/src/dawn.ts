/** Dawn in Node as a browser's WebGPU: what the peers look for, and a count of what anyone asks of it. */
import type { AdapterWords } from "@x/kernels-webgpu";
import { create, globals } from "webgpu";

type Classes = {
  [Name in "GPUAdapter" | "GPUQueue" | "GPUDevice" | "GPUComputePassEncoder"]: {
    prototype: Record<string, (...args: unknown[]) => unknown>;
  };
};
const { GPUAdapter, GPUQueue, GPUDevice, GPUComputePassEncoder } = globals as unknown as Classes;

/** Dawn dies when what `create` returned is collected while a device lives. */
let gpu: GPU | undefined;

/** What a library has made of WebGPU so far. */
export interface Installed {
  adapter(): string | undefined;
  device(): GPUDevice | undefined;
  /** Waits for all that was submitted. */
  settled(): Promise<undefined>;
}

/** Gives this process `navigator.gpu` and the WebGPU classes. Libraries ask for adapter and device themselves, with the limits they want. */
export function installWebGPU(): Installed {
  Object.assign(globalThis, globals);
  Object.assign(globalThis, { self: globalThis });
  gpu ??= create([]);
  const value = { gpu, userAgent: "node", hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, "navigator", { value, configurable: true, writable: true });
  let adapter: string | undefined;
  let device: GPUDevice | undefined;
  const requestDevice = GPUAdapter.prototype.requestDevice!;
  GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, ...args) {
    adapter = adapterName(this.info);
    device = (await requestDevice.apply(this, args)) as GPUDevice;
    return device;
  };
  return { adapter: () => adapter, device: () => device, settled: async () => device?.queue.onSubmittedWorkDone() };
}

/** An adapter in words: who made it, and what it is. */
export const adapterName = ({ vendor, architecture, device, description }: AdapterWords): string =>
  [vendor, architecture, device, description].filter(Boolean).join(" ");

/** Lets `queue.writeBuffer` take shared memory, which Dawn refuses and onnxruntime hands it: the bytes are copied first. */
export function acceptSharedMemory(): void {
  const writeBuffer = GPUQueue.prototype.writeBuffer!;
  GPUQueue.prototype.writeBuffer = function (this: GPUQueue, buffer, offset, data, from = 0, size) {
    const given = data as Uint8Array | ArrayBufferLike;
    const view = ArrayBuffer.isView(given) ? given : new Uint8Array(given);
    const width = view.BYTES_PER_ELEMENT;
    const begin = view.byteOffset + (from as number) * width;
    const end = size === undefined ? view.byteOffset + view.byteLength : begin + (size as number) * width;
    return writeBuffer.call(this, buffer, offset, new Uint8Array(view.buffer).slice(begin, end));
  };
}

/** Counts what `run` asks of the GPU, at the interface itself: dispatches, submits and new buffers. */
export async function demands(run: () => Promise<unknown>): Promise<{ launches: number; submits: number; allocations: number }> {
  const counts = { launches: 0, submits: 0, allocations: 0 };
  const watched = [
    { prototype: GPUComputePassEncoder.prototype, method: "dispatchWorkgroups", name: "launches" },
    { prototype: GPUComputePassEncoder.prototype, method: "dispatchWorkgroupsIndirect", name: "launches" },
    { prototype: GPUQueue.prototype, method: "submit", name: "submits" },
    { prototype: GPUDevice.prototype, method: "createBuffer", name: "allocations" },
  ] as const;
  const restore = watched.map(({ prototype, method, name }) => {
    const original = prototype[method]!;
    prototype[method] = function (...args) {
      counts[name]++;
      return original.apply(this, args);
    };
    return () => {
      prototype[method] = original;
    };
  });
  try {
    await run();
  } finally {
    for (const each of restore) each();
  }
  return counts;
}
