import type { Platform } from "./platform.ts";

export const platform: Platform = {
  gpu: async () => {
    const { gpu } = globalThis.navigator ?? {};
    if (gpu) return gpu;
    return globalThis.isSecureContext
      ? "this browser has no WebGPU (navigator.gpu is missing)"
      : "WebGPU needs a secure context: serve the page by https, or from localhost";
  },
};
