import { addLayerNorm, addRmsNorm, layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "@x/ops";
import type { Place } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import type { Planner } from "./planner.ts";
import { reduceMiddle } from "./reduce.ts";
import { ceilDiv, product } from "./work.ts";

const rowsOf = (shape: readonly number[]): { rows: number; n: number } => ({ rows: product(shape.slice(0, -1)), n: shape.at(-1)! });

interface Places {
  readonly y: Place;
  readonly x: Place;
  readonly residual?: Place | undefined;
  readonly sum?: Place | undefined;
  readonly weight?: Place | undefined;
  readonly bias?: Place | undefined;
  readonly mean?: Place | undefined;
  readonly inverse?: Place | undefined;
}

function normalize(p: Planner, shape: readonly number[], places: Places, centered: 0 | 1, eps: number): void {
  const { rows, n } = rowsOf(shape);
  p.run("norm", { ...places, n, centered, eps }, rows, 1.5 * n);
}

export const layerNormKernel = wasmKernel(layerNorm, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    const statistics = { mean: p.wanted("mean"), inverse: p.wanted("inverse") };
    const places = { y: p.output("y"), x: p.input("x"), weight: p.maybe("weight"), bias: p.maybe("bias"), ...statistics };
    normalize(p, x.shape, places, 1, eps);
  },
});

export const rmsNormKernel = wasmKernel(rmsNorm, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    normalize(p, x.shape, { y: p.output("y"), x: p.input("x"), weight: p.maybe("weight"), inverse: p.wanted("inverse") }, 0, eps);
  },
});

export const addLayerNormKernel = wasmKernel(addLayerNorm, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    const added = { residual: p.input("residual"), sum: p.output("sum") };
    const statistics = { mean: p.wanted("mean"), inverse: p.wanted("inverse") };
    const places = { y: p.output("y"), x: p.input("x"), weight: p.maybe("weight"), bias: p.maybe("bias"), ...added, ...statistics };
    normalize(p, x.shape, places, 1, eps);
  },
});

export const addRmsNormKernel = wasmKernel(addRmsNorm, {
  plan(p, { specs: { x }, attrs: { eps } }) {
    const added = { residual: p.input("residual"), sum: p.output("sum"), inverse: p.wanted("inverse") };
    normalize(p, x.shape, { y: p.output("y"), x: p.input("x"), weight: p.maybe("weight"), ...added }, 0, eps);
  },
});

interface Backward {
  readonly x: Place;
  readonly dy: Place;
  readonly dx: Place;
  readonly inverse: Place;
  readonly mean?: Place | undefined;
  readonly weight?: Place | undefined;
  readonly dsum?: Place | undefined;
  /** dweight, then dbias. */
  readonly sums: readonly Place[];
}

/** Rows whose sums one unit makes; those are then added in order. */
const chunk = 32;

/** Sums over rows first: dx may be written over dy. */
function normalizeBackward(p: Planner, shape: readonly number[], { sums, dx, ...places }: Backward): void {
  const { rows, n } = rowsOf(shape);
  const [chunks, parts] = [ceilDiv(rows, chunk), sums.length];
  const { x, dy, mean, inverse } = places;
  const partial = p.scratch(4 * chunks * parts * n);
  p.run("norm_weight_grad", { partial, x, dy, mean, inverse, rows, n, chunk, parts }, chunks, parts * chunk * n);
  const total = parts === 1 ? sums[0]! : p.scratch(4 * parts * n);
  reduceMiddle(p, "sum", "f32", partial, total, { outer: 1, n: chunks, inner: parts * n });
  if (parts > 1) for (const [i, out] of sums.entries()) p.copy([n], 4, out, [1], { ...total, offset: 4 * i * n }, [1]);
  p.run("norm_grad", { dx, ...places, n, centered: mean ? 1 : 0 }, rows, 3 * n);
}

export const layerNormBackwardKernel = wasmKernel(layerNormBackward, {
  plan(p, { specs: { x } }) {
    const statistics = { mean: p.input("mean"), inverse: p.input("inverse") };
    const sums = [p.output("dweight"), p.output("dbias")];
    normalizeBackward(p, x.shape, {
      x: p.input("x"),
      dy: p.input("dy"),
      dx: p.output("dx"),
      weight: p.maybe("weight"),
      dsum: p.maybe("dsum"),
      ...statistics,
      sums,
    });
  },
});

export const rmsNormBackwardKernel = wasmKernel(rmsNormBackward, {
  plan(p, { specs: { x } }) {
    const places = { x: p.input("x"), dy: p.input("dy"), dx: p.output("dx"), weight: p.maybe("weight"), inverse: p.input("inverse") };
    normalizeBackward(p, x.shape, { ...places, dsum: p.maybe("dsum"), sums: [p.output("dweight")] });
  },
});
