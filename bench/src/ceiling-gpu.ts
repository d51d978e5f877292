import { batched, type Competitor } from "./competitor.ts";
import { installWebGPU } from "./dawn.ts";
import { bytes, flops } from "./workloads.ts";

const accumulators = 8;
const workgroup = 256;
const flopsPerTurn = accumulators * 4 * 2;

/**
 * The most that fused multiply-adds on registers do on this adapter, in f32 or f16: as many operations as the workload,
 * with no memory behind them and no matrix units.
 */
export function gpuCeiling(): Competitor {
  return {
    version: () => "fma",
    async prepare({ work }) {
      const total = flops(work);
      if (total === undefined || bytes(work) !== undefined) return undefined;
      const half = work.kind === "gemm" && work.dtype === "f16";
      const installed = installWebGPU();
      const adapter = await navigator.gpu.requestAdapter();
      if (!adapter) throw new Error("bench: there is no adapter for the ceiling.");
      if (half && !adapter.features.has("shader-f16")) return undefined;
      const device = await adapter.requestDevice({ requiredFeatures: half ? ["shader-f16"] : [] });
      const groups = adapter.info.isFallbackAdapter ? 64 : 4096;
      const turns = Math.max(1, Math.round(total / (flopsPerTurn * workgroup * groups)));
      const dispatch = await prepared(device, source(half ? "f16" : "f32", turns), groups);
      return {
        adapter: installed.adapter(),
        sample: batched(async (times) => {
          for (let i = 0; i < times; i++) dispatch();
          await device.queue.onSubmittedWorkDone();
        }),
        close: () => device.destroy(),
      };
    },
  };
}

function source(scalar: "f16" | "f32", turns: number): string {
  const all = Array.from({ length: accumulators }, (_, i) => `a${i}`);
  return `${scalar === "f16" ? "enable f16;" : ""}
@group(0) @binding(0) var<storage, read_write> out: array<vec4<${scalar}>>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = vec4<${scalar}>(${scalar}(id.x & 1u) * 0.25 + 0.5);
  let y = vec4<${scalar}>(0.25);
  ${all.map((a, i) => `var ${a} = vec4<${scalar}>(${i}.0);`).join("\n  ")}
  for (var turn = 0u; turn < ${turns}u; turn++) {
    ${all.map((a) => `${a} = x * ${a} + y;`).join("\n    ")}
  }
  out[id.x] = ${all.join(" + ")};
}`;
}

async function prepared(device: GPUDevice, code: string, groups: number): Promise<() => void> {
  const module = device.createShaderModule({ code });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const buffer = device.createBuffer({ size: 16 * workgroup * groups, usage: GPUBufferUsage.STORAGE });
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] });
  return () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
}
