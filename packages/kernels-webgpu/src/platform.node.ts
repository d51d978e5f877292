import type { Platform } from "./platform.ts";

/** Held for as long as the process lives: Dawn crashes when this object is collected while a device is alive. */
let held: GPU | undefined;

export const platform: Platform = {
  gpu: async () => {
    if (held) return held;
    try {
      const { create } = await import("webgpu");
      // Dawn counts features on trial as unsafe, subgroup matrices among them.
      held = create(["enable-dawn-features=allow_unsafe_apis"]);
      return held;
    } catch (error) {
      return `the package "webgpu" (Dawn) is not installed or does not load here: ${(error as Error).message.split("\n")[0]}. Run: npm install webgpu`;
    }
  },
};
