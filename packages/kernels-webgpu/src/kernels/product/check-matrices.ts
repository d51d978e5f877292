import { Device, type Driver, matmul, scope, type Tensor, tensor, withDevice } from "@x/tensor";
import type { MatrixUnit } from "../../wgsl/gemm/matrix-unit.ts";
import { matmulBy } from "./matmul.ts";
import { tileOf } from "./units.ts";

/** Edges in every direction, more than one share of the sum, and two workgroups each way. */
const [m, n, k] = [67, 70, 41];

/** Whole numbers from -most to most. */
const numbers = (size: number, most: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => ((i * 7919) % (2 * most + 1)) - most);

/** Numbers that need every bit of a component, and few enough that sums of their products are exact in f32 whatever their order, and no infinity in f16. */
const largest = { f32: 65_535, f16: 319 } as const;

/**
 * Whether products on these units are right on this machine, which no test may have seen the like of: one is made on each and compared with plain sums. Undefined where all are, else what to say of it;
 * the driver may refuse the source, too.
 */
export async function checkMatrices(driver: Driver, units: readonly MatrixUnit[]): Promise<string | undefined> {
  for (const unit of units)
    try {
      const wrong = await wrongOn(driver, unit);
      if (wrong) return `off: a product on ${unit.name} is wrong here (${wrong})`;
    } catch (error) {
      const { name, message, cause } = error as Error;
      if (name === "DeviceLostError") throw error;
      // The compiler's own words, where it refused the source.
      return `off: a product on ${unit.name} does not run here (${typeof cause === "string" ? cause : message})`;
    }
  return undefined;
}

/** Where a product on the unit differs from plain sums. */
async function wrongOn(driver: Driver, unit: MatrixUnit): Promise<string | undefined> {
  const { component: dtype } = unit;
  const device = new Device(driver, { kernels: [matmulBy(() => ({ member: "matrices", tile: tileOf(unit), parts: 1 }))], strict: true });
  const [left, right] = [numbers(m * k, largest[dtype]), numbers(k * n, 5)];
  const matrix = (data: Float32Array, rows: number, columns: number): Tensor => tensor(data, { shape: [rows, columns], dtype });
  const product = withDevice(device, () => scope(() => matmul({ a: matrix(left, m, k), b: matrix(right, k, n) })));
  const got = await product.data();
  product.dispose();
  device.pool.clear();
  // Only storing rounds, and only to f16.
  const rounding = dtype === "f16" ? 2 ** -11 : 0;
  for (let at = 0; at < m * n; at++) {
    const [row, column] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let t = 0; t < k; t++) sum += left[row * k + t]! * right[t * n + column]!;
    if (!(Math.abs(got[at]! - sum) <= Math.abs(sum) * rounding)) return `${got[at]} for ${sum} at row ${row}, column ${column}`;
  }
  return undefined;
}
