export type { Caps } from "./device/caps.ts";
export { type AdapterWords, adapterOf, type DriverOptions, figuresOf, type WebgpuFigures } from "./device/figures.ts";
export { type BufferUse, f32, i32, type Param, u32, type WebgpuLaunch } from "./device/launch.ts";
export { type WebgpuOptions, webgpu } from "./device/webgpu.ts";
export { webgpuKernels } from "./kernels/all.ts";
export { type WebgpuKernel, type WebgpuQuestion, type WebgpuRequest, webgpuKernel } from "./kernels/kernel.ts";
export type { Place, Planner, Run, Stored, Strided, Use, Wide } from "./kernels/planner.ts";
export type { Elements } from "./wgsl/elements.ts";
