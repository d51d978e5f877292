import { argmax, argmin, axesIn, axisIn, max, min, prod, sum } from "@x/tensor";
import { reductions } from "../abi.ts";
import type { Place } from "../device/launch.ts";
import { wasmKernel } from "./kernel.ts";
import { type Planner, type Wide, wideOf } from "./planner.ts";
import { ceilDiv, product } from "./work.ts";

export type Reduction = keyof typeof reductions;

/** Elements of a column block, and of a chunk of a long sum whose partial results are added in order. */
const [block, chunk] = [64, 16_384];

/** A middle axis to reduce, what lies around it, and where. */
interface Middle {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

/** out[outer, inner] = x[outer, n, inner] reduced over n. Long reductions with few results go by chunks of the shape. */
export function reduceMiddle(p: Planner, op: Reduction, type: Wide, x: Place, out: Place, { outer, n, inner }: Middle): void {
  const blocks = outer * ceilDiv(inner, block);
  if (outer === 1 && blocks < 8 && n * inner >= 4 * chunk) {
    const rows = Math.max(1, Math.floor(chunk / inner));
    const [whole, rest] = [Math.floor(n / rows), n % rows];
    const count = whole + (rest > 0 ? 1 : 0);
    const partial = p.scratch(4 * count * inner);
    reduceMiddle(p, op, type, x, partial, { outer: whole, n: rows, inner });
    const after = (place: Place, elements: number): Place => ({ ...place, offset: (place.offset ?? 0) + 4 * elements });
    if (rest > 0) reduceMiddle(p, op, type, after(x, whole * rows * inner), after(partial, whole * inner), { outer: 1, n: rest, inner });
    reduceMiddle(p, op === "squares" ? "sum" : op, type, partial, out, { outer: 1, n: count, inner });
    return;
  }
  const cost = (n * Math.min(block, inner)) / 4;
  const args = { out, x, n, inner, columns: block, op: reductions[op] };
  if (type === "f32") p.run("reduce_f32", args, blocks, cost);
  else p.run("reduce_i32", { ...args, isUnsigned: type === "u32" ? 1 : 0 }, blocks, 4 * cost);
}

/** Runs of axes that are all reduced or all kept, as extents; those of extent 1 go. */
function runsOf(shape: readonly number[], axes: readonly number[]): { reduced: boolean; extent: number }[] {
  const runs: { reduced: boolean; extent: number }[] = [];
  for (const [axis, extent] of shape.entries()) {
    if (extent === 1) continue;
    const reduced = axes.includes(axis);
    const last = runs.at(-1);
    if (last?.reduced === reduced) last.extent *= extent;
    else runs.push({ reduced, extent });
  }
  return runs;
}

/** Reduces one run of axes after another, the innermost first. */
export function reduceAxes(
  p: Planner,
  op: Reduction,
  type: Wide,
  x: Place,
  shape: readonly number[],
  axes: readonly number[],
  out: Place,
): void {
  const runs = runsOf(shape, axes);
  const rounds = runs.filter(({ reduced }) => reduced).length;
  // Nothing to reduce: one round over an axis of extent 1 copies.
  if (rounds === 0) reduceMiddle(p, op, type, x, out, { outer: 1, n: 1, inner: product(shape) });
  let from = x;
  for (let round = 1; round <= rounds; round++) {
    const at = runs.findLastIndex(({ reduced }) => reduced);
    const size = (part: typeof runs) => product(part.map(({ extent }) => extent));
    const [outer, inner] = [size(runs.slice(0, at)), size(runs.slice(at + 1))];
    const to = round === rounds ? out : p.scratch(4 * outer * inner);
    reduceMiddle(p, op, type, from, to, { outer, n: runs[at]!.extent, inner });
    runs.splice(at, 1);
    from = to;
  }
}

const reducing = (contract: typeof sum, op: Reduction) =>
  wasmKernel(contract, {
    plan(p, { specs: { x }, attrs: { axes } }) {
      const at = axesIn(axes, x.shape.length, op);
      reduceAxes(p, op, wideOf(x.dtype), p.input("x"), x.shape, at, p.output("y"));
    },
  });

const placing = (contract: typeof argmax, op: "max" | "min") =>
  wasmKernel(contract, {
    plan(p, { specs: { x }, attrs: { axis } }) {
      const at = axisIn(axis, x.shape.length, contract.contract.name);
      const n = x.shape[at]!;
      const [outer, inner] = [product(x.shape.slice(0, at)), product(x.shape.slice(at + 1))];
      const args = { out: p.output("y"), x: p.input("x"), n, inner, columns: block, op: reductions[op] };
      const [units, cost, wide] = [outer * ceilDiv(inner, block), n * Math.min(block, inner), wideOf(x.dtype)];
      if (wide === "f32") p.run("arg_reduce", args, units, cost);
      else p.run("arg_reduce_i32", { ...args, isUnsigned: wide === "u32" ? 1 : 0 }, units, cost);
    },
  });

export const reduceKernels = [
  reducing(sum, "sum"),
  reducing(prod as unknown as typeof sum, "prod"),
  reducing(max as unknown as typeof sum, "max"),
  reducing(min as unknown as typeof sum, "min"),
  placing(argmax, "max"),
  placing(argmin, "min"),
];
