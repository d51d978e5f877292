import { quantizedLinear } from "@x/ops";
import { wasmKernel } from "./kernel.ts";
import { ceilDiv, product } from "./work.ts";

/** Rows up to which codes are multiplied as they are read; beyond, a tile of the weight is unpacked for all rows of a tile. */
const fewRows = 4;

export const quantizedLinearKernel = wasmKernel(quantizedLinear, {
  plan(p, { specs: { x, weight, scales }, attrs: { bits, group } }) {
    const [n, rowBytes] = weight.shape as [number, number];
    const k = x.shape.at(-1)!;
    const m = product(x.shape.slice(0, -1));
    const places = {
      y: p.output("y"),
      x: p.input("x"),
      weight: p.raw("weight").place,
      scales: p.input("scales"),
      zeros: p.raw("zeros").place,
    };
    const args = { ...places, bias: p.maybe("bias"), ...{ m, n, k, bits, group, groups: scales.shape[1]!, rowBytes } };
    if (m === 0) return;
    if (m <= fewRows) {
      const columns = 16;
      p.run("quantized_gemv", { ...args, columns }, ceilDiv(n, columns), (columns * m * k) / 4);
      return;
    }
    const [mTile, nTile] = [Math.min(96, ceilDiv(m, 6) * 6), Math.min(64, ceilDiv(n, 8) * 8)];
    p.run("quantized_gemm", { ...args, mTile, nTile }, ceilDiv(m, mTile) * ceilDiv(n, nTile), (mTile * nTile * k) / 4);
  },
});
