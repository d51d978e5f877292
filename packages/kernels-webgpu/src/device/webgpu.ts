import { Device, DeviceError, type DeviceLostError, type DeviceOptions } from "@x/tensor";
import { platform } from "#platform";
import { webgpuKernels } from "../kernels/all.ts";
import { checkMatrices } from "../kernels/product/check-matrices.ts";
import { unitsOf } from "../kernels/product/units.ts";
import { keepsSmallHalves } from "../kernels/small-halves.ts";
import { WebgpuDriver } from "./driver.ts";
import type { DriverOptions } from "./figures.ts";
import { matrixFeature } from "./subgroup-matrices.ts";

export interface WebgpuOptions extends DeviceOptions, DriverOptions {
  /** Which of several adapters is preferred. */
  readonly powerPreference?: "low-power" | "high-performance";
  /** Take the default limits of WebGPU instead of what the adapter offers: what a program must get by with everywhere. */
  readonly defaultLimits?: boolean;
  /**
   * Products on subgroup matrices, where the adapter offers them and a product on them, made when the device is, agrees with plain sums (default true). false: never. `figuresOf(device).matrices`
   * tells which are used, or why none is.
   */
  readonly subgroupMatrices?: boolean;
  /** Called once when the device is gone (unplugged, reset, destroyed). Open a new one and load the last checkpoint. */
  readonly onLost?: (error: DeviceLostError) => void;
}

/** Limits that are asked for as the adapter has them. */
const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
] as const;
const wantedFeatures = ["shader-f16", "subgroups", "timestamp-query", matrixFeature] as const;

/**
 * A GPU as a device, in browsers and, through the optional peer `webgpu` (Dawn), in Node. Features and limits are asked for as the adapter has them. `kernels` are
 * added to the built-in ones and win over them. Rejects with a DeviceError where there is no adapter.
 */
export async function webgpu(options: WebgpuOptions = {}): Promise<Device> {
  const gpu = await platform.gpu();
  if (typeof gpu === "string") throw new DeviceError(`device webgpu: ${gpu}.`);
  const { powerPreference, defaultLimits = false, subgroupMatrices = true } = options;
  const adapter = await gpu.requestAdapter({ ...(powerPreference && { powerPreference }) });
  if (!adapter)
    throw new DeviceError(
      "device webgpu: there is no adapter. In Node a Vulkan, Metal or D3D12 driver must be installed; in a browser WebGPU must be enabled. " +
        "Use await wasm(), from the kernels-wasm package, where there is no GPU.",
    );
  const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((name) => adapter.features.has(name)) as GPUFeatureName[],
    ...(!defaultLimits && { requiredLimits }),
  });
  const driver = new WebgpuDriver(adapter, device, options);
  if (options.onLost) void driver.lost.then(options.onLost);
  if (driver.caps.f16 && !(await keepsSmallHalves(driver))) driver.withoutHalves();
  const units = unitsOf(driver.caps);
  const objection = subgroupMatrices ? await checkMatrices(driver, units) : "off, as asked for";
  if (units.length > 0 && objection) driver.withoutMatrices(objection);
  const made = new Device(driver, { ...options, kernels: [...webgpuKernels(), ...(options.kernels ?? [])] });
  driver.onRefused = (kernel, error) => made.refuse(kernel, error.message);
  return made;
}
