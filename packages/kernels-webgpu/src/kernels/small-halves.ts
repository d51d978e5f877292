import { Device, type Driver, scope, tensor, withDevice } from "@x/tensor";
import { pointwiseKernel } from "./pointwise.ts";

/** The smallest of f16, and both ends of its numbers below the normal ones. */
const small = Float32Array.of(2 ** -24, -(2 ** -15), 1023 * 2 ** -24);

/** Whether the adapter's conversion from f16 keeps subnormal numbers, which WGSL leaves open; false too where it does not run. */
export async function keepsSmallHalves(driver: Driver): Promise<boolean> {
  const device = new Device(driver, { kernels: [pointwiseKernel], strict: true });
  try {
    const cast = withDevice(device, () => scope(() => tensor(small, { dtype: "f16" }).cast("f32")));
    const read = await cast.data();
    cast.dispose();
    device.pool.clear();
    return small.every((x, i) => x === read[i]);
  } catch (error) {
    if ((error as Error).name === "DeviceLostError") throw error;
    return false;
  }
}
