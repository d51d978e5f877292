import { matricesOf } from "./subgroup-matrices.ts";

/** What planners are told of an adapter. */
export interface Caps extends Readonly<Record<string, number | boolean | string>> {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  /** Longer lines of workgroups are folded into planes, whose last row may have more of them than were asked for. */
  readonly maxComputeWorkgroupsPerDimension: number;
  /** Sources may convert from f16, without loss. */
  readonly f16: boolean;
  readonly subgroups: boolean;
  /** Subgroup matrices for products, m x n x k with f32 sums by the invocations of a subgroup: "f32 8x8x8 by 32, f16 16x16x16 by 32"; empty: none, or none to be used. */
  readonly matrices: string;
  readonly timestamps: boolean;
  /** The processor plays the GPU: shared memory and barriers cost there, and do not help. */
  readonly software: boolean;
  readonly vendor: string;
  readonly architecture: string;
}

export function capsOf(adapter: GPUAdapter, { limits, features }: GPUDevice): Caps {
  const { vendor, architecture, isFallbackAdapter } = adapter.info;
  return {
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    f16: features.has("shader-f16"),
    subgroups: features.has("subgroups"),
    matrices: matricesOf(adapter.info, features, limits),
    timestamps: features.has("timestamp-query"),
    software: isFallbackAdapter || /swiftshader|software|llvmpipe/i.test(`${architecture} ${adapter.info.description}`),
    vendor,
    architecture,
  };
}
