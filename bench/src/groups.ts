import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { attentionWorks } from "./attention-works.ts";

/** A set of workloads and competitors that are measured together. */
export interface Group {
  works: readonly string[];
  /** What a software adapter would take too long for. */
  gpuWorks?: readonly string[];
  /** In the order of the tables; the first is ours. */
  competitors: readonly string[];
  gpuCompetitors?: readonly string[];
  /** By name: the fastest of these is divided by our time. */
  ratios: Readonly<Record<string, readonly string[]>>;
  /** A ratio that says something only where this competitor took part. */
  onlyWith?: Readonly<Record<string, string>>;
  /** Those that hold the scores of all queries and keys at once, and so are left out where these are more than `mostScoresBytes`. */
  holdScores?: readonly string[];
  /** On the CPU: the numbers of threads, where none are asked for. */
  threads?: string;
}

/** All scores that a 32-bit memory may be asked to hold, beside what is made of them. */
export const mostScoresBytes = 2 ** 31;

const rows = ["softmax-4096x1024", "layernorm-4096x768", "gelu-4m"];
const webgpuPeers = ["ort-web/webgpu", "ort-web/webgpu-composed", "tfjs/webgpu", "jax-js/webgpu"];

const named = (pattern: RegExp) => attentionWorks.map(({ name }) => name).filter((name) => pattern.test(name));
const denseOnCpu = ["ours/wasm-composed", "ort-web", "jax-js"];
const denseOnGpu = ["ours/webgpu-composed", "jax-js/webgpu", "tfjs/webgpu"];

export const groups = {
  cpu: {
    works: ["gemm-1024", "gemm-256x768x3072", "matvec-2048", ...rows, "gpt2-small-blocks", "baby-step"],
    competitors: [
      ...["ours", "ceiling/native", "ceiling/wasm", "ort-web", "ort-web/b-input", "ort-web/kernel", "tfjs", "jax-js"],
      ...["ort-node", "ort-node/b-input", "ort-node/kernel", "torch"],
    ],
    ratios: {
      toBestWasmPeer: ["ort-web", "ort-web/b-input", "tfjs", "jax-js"],
      toOrtNode: ["ort-node", "ort-node/b-input"],
      toBestWasmKernel: ["ort-web/kernel", "tfjs", "jax-js"], // tfjs and jax-js make no copies
      toOrtNodeKernel: ["ort-node/kernel"],
      toTorch: ["torch"],
      shareOfCeiling: ["ceiling/native", "ceiling/wasm"],
    },
    onlyWith: { toBestWasmKernel: "ort-web/kernel" },
    threads: "1,2",
  },
  webgpu: {
    works: ["gemm-512", "gemm-1024", ...rows, "attention-1024", "attention-1024-causal", "gpt-step"],
    gpuWorks: ["gemm-2048", "gemm-4096", "gemm-f16-1024", "gemm-f16-2048", "gemm-f16-4096", "distilgpt2-step"],
    competitors: ["ours/webgpu", "ceiling/webgpu", ...webgpuPeers],
    gpuCompetitors: ["torch/cuda"],
    ratios: { toBestWebGPUPeer: webgpuPeers, toTorch: ["torch/cuda"], shareOfCeiling: ["ceiling/webgpu"] },
  },
  "attention-cpu": {
    works: named(/./),
    competitors: ["ours", ...denseOnCpu, "ort-node"],
    ratios: { toBestDense: denseOnCpu, toOrtNode: ["ort-node"] },
    holdScores: [...denseOnCpu, "ort-node"],
    threads: "1",
  },
  "attention-webgpu": {
    works: named(/^(causal|decode)-/),
    gpuWorks: named(/^(dense|longformer|bigbird|performer)-/),
    competitors: ["ours/webgpu", ...denseOnGpu],
    ratios: { toBestDense: denseOnGpu },
    holdScores: denseOnGpu,
  },
} satisfies Record<string, Group>;

export type GroupName = keyof typeof groups;

/** What a command measures: one group after another. */
export const commands = {
  cpu: ["cpu"],
  webgpu: ["webgpu"],
  attention: ["attention-cpu", "attention-webgpu"],
  "attention-cpu": ["attention-cpu"],
  "attention-webgpu": ["attention-webgpu"],
} as const satisfies Record<string, readonly GroupName[]>;

export type CommandName = keyof typeof commands;

const driverFolders = {
  swiftshader: { folders: ["/usr/lib/chromium", "/opt/google/chrome"], name: /^vk_swiftshader_icd\.json$/, from: "a Chromium" },
  lavapipe: { folders: ["/usr/share/vulkan/icd.d"], name: /^lvp_icd.*\.json$/, from: "Mesa 25 or later" },
};

export const drivers = ["default", ...Object.keys(driverFolders)];

/** What a process needs in its environment for its Vulkan to be `driver`; `default` leaves it to the machine. */
export function driverEnvironment(driver: string): Record<string, string> {
  if (driver === "default") return {};
  const { folders, name, from } = driverFolders[driver as keyof typeof driverFolders];
  for (const folder of folders) {
    const file = existsSync(folder) && readdirSync(folder).find((each) => name.test(each));
    if (file) return { VK_DRIVER_FILES: join(folder, file) };
  }
  throw new Error(`bench: --driver ${driver} expects its file in ${folders.join(" or ")}, where ${from} puts it; there is none.`);
}
