import { sort, topK } from "@x/tensor";
import { wasmKernel } from "./kernel.ts";
import { type Planner, wideOf } from "./planner.ts";
import { product } from "./work.ts";

const types = { f32: 0, i32: 1, u32: 2, bool: 2 } as const;

/** The first k of each row in order, and where they stood. */
function order(p: Planner, k: number, descending: boolean): void {
  const { shape, dtype } = p.spec("x");
  const n = shape.at(-1)!;
  const rows = product(shape.slice(0, -1));
  const scratch = p.scratch(16 * n * rows);
  const places = { values: p.output("values"), places: p.output("indices"), x: p.input("x"), scratch };
  p.run("sort", { ...places, n, k, descending: descending ? 1 : 0, type: types[wideOf(dtype)] }, rows, 4 * n * Math.ceil(Math.log2(n + 2)));
}

export const sortKernel = wasmKernel(sort, { plan: (p, { attrs: { descending } }) => order(p, p.spec("x").shape.at(-1)!, descending) });
export const topKKernel = wasmKernel(topK, { plan: (p, { attrs: { k } }) => order(p, k, true) });
