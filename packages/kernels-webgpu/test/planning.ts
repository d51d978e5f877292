import { type BoundStep, type Driver, type Executable, tensorInterface } from "@x/tensor";
import type { Caps } from "../src/device/caps.ts";
import type { WebgpuLaunch } from "../src/device/launch.ts";
import { layOut } from "../src/device/layout.ts";
import { driverName } from "../src/device/name.ts";
import { moduleSource } from "../src/wgsl/declarations.ts";

/** A GPU with the limits that every one has, and nothing more. */
const usual: Caps = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 1 << 27,
  maxComputeWorkgroupStorageSize: 1 << 14,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupsPerDimension: 65_535,
  ...{ f16: false, subgroups: false, matrices: "", timestamps: false, software: false, vendor: "", architecture: "" },
};

/** Takes what is to be launched and runs nothing: what kernels plan, without an adapter. */
export class PlanningDriver implements Driver {
  readonly name = driverName;
  readonly interface = tensorInterface;
  readonly dtypes = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"] as const;
  readonly caps: Caps;
  readonly alignment = 256;
  readonly steps: { readonly name: string; readonly launches: readonly WebgpuLaunch[] }[] = [];

  constructor(caps: Partial<Caps> = {}) {
    this.caps = { ...usual, ...caps } as Caps;
  }

  allocate(): object {
    return {};
  }
  release(): void {}
  write(): void {}
  run({ name, launches }: BoundStep): void {
    this.steps.push({ name, launches: launches as readonly WebgpuLaunch[] });
  }
  read(): Promise<never> {
    return Promise.reject(new Error("nothing was run"));
  }
  build(): Executable {
    throw new Error("nothing is run");
  }
  async settled(): Promise<void> {}
  close(): void {}
}

/** A launch as text: its size and numbers, then its whole source on buffers of its own. */
export function launchText(launch: WebgpuLaunch): string {
  const { label, groups, params, buffers } = launch;
  const names = [...new Set(buffers.map(({ buffer }) => buffer))];
  const gpuBuffers = new Map(names.map((name) => [name, { name } as unknown as GPUBuffer]));
  const ranges = buffers.map(({ buffer }) => ({ buffer: gpuBuffers.get(buffer)!, offset: 0, size: 1 << 16 }));
  const numbers = Object.entries(params).map(([name, param]) => `${name} ${Object.values(param)[0]}`);
  return [
    `// ${label}: ${groups} workgroups; ${numbers.join(", ") || "no parameters"}`,
    `// ${buffers.map(({ name, buffer, access }) => `${access} ${name === buffer ? name : `${name} = ${buffer}`}`).join(", ")}`,
    moduleSource(launch, layOut(buffers, ranges, usual)),
  ].join("\n");
}
