import { sizeOf } from "@x/tensor";
import { type Param, u32 } from "../../device/launch.ts";
import { combineCode } from "../../wgsl/gemm/combine.ts";
import { directCode } from "../../wgsl/gemm/direct.ts";
import { fewRowsCode } from "../../wgsl/gemm/few-rows.ts";
import type { Epilogue, Form } from "../../wgsl/gemm/form.ts";
import { matricesCode } from "../../wgsl/gemm/matrices.ts";
import { tiledCode } from "../../wgsl/gemm/tiled.ts";
import type { Place, Planner, Use } from "../planner.ts";
import { batchesOf, type Fetched, fetched, type Placed, type Product, placed } from "./operands.ts";
import { type Choice, type Choose, ceilDiv, choose, gridOf, isFewRows } from "./tiles.ts";

export type { Operand, Product } from "./operands.ts";

const sources = { direct: directCode, tiled: tiledCode, matrices: matricesCode, "few rows": fewRowsCode };

/** Launches of a product. `choice` forces a member of the portfolio. */
export function multiply(p: Planner, given: Product, choice?: Choose): void {
  if (given.m * given.n * sizeOf(given.batch) === 0) return;
  const product = placed(given);
  const { m, n, k } = product;
  const sums = product.sums !== undefined;
  const single = isFewRows({ m, sums });
  const [a, b] = [fetched(p, product, "a", single), fetched(p, product, "b", false)];
  const halves = a.place.dtype === "f16" && b.place.dtype === "f16";
  const shape = { batches: batchesOf(product), m, n, k, alongSum: b.side.along === "k", sums, halves };
  const chosen = (choice ?? choose)(p.caps, shape);
  const into = epilogueOf(p, product);
  if (chosen.parts === 1) launch(p, product, a, b, chosen, into);
  else launchParts(p, product, a, b, chosen, into);
}

/** What follows the sums: its form, its buffers, its parameters. */
interface Ending {
  readonly epilogue: Epilogue;
  readonly reads: Record<string, Use>;
  readonly writes: Record<string, Use>;
  readonly params: Record<string, Param>;
}

function epilogueOf(p: Planner, { m, n, y, bias, residual, pre, sums, activation = "none", axes, biasStep }: Placed): Ending {
  const width = n % 4 === 0 && (biasStep === 1 || !bias) ? 4 : 1;
  // Whole fours go straight into narrow memory.
  const place = (output: string | Place): Place =>
    typeof output !== "string" ? output : width === 4 ? p.target(output) : p.output(output);
  const size = m * n * sizeOf(axes.map(({ extent }) => extent));
  const params: Record<string, Param> = {};
  if (bias && width === 1) Object.assign(params, { bias_step: u32(biasStep), bias_last: u32(biasStep * (n - 1)) });
  if (residual && width === 1) params.residual_last = u32(size - 1);
  return {
    epilogue: { bias: !!bias, residual: !!residual, pre: !!pre, activation, width },
    reads: { ...(bias && { bias: [bias, width] }), ...(residual && { residual: [residual, width] }) },
    writes: { y: [place(y), width], ...(pre && { pre: [place(pre), width] }), ...(sums && { sums: p.output(sums) }) },
    params,
  };
}

/** Steps of the sum that a part takes. */
const chunkOf = (k: number, { parts, tile: { depth } }: Choice): number => ceilDiv(ceilDiv(k, parts), depth || 4) * (depth || 4);

function launch(
  p: Planner,
  product: Placed,
  a: Fetched,
  b: Fetched,
  choice: Choice,
  { epilogue, reads, writes, params }: Ending,
  parts = 1,
): void {
  const { m, n, k, axes, sums } = product;
  const { member, tile } = choice;
  const [down, across] = gridOf(choice, product);
  const chunk = parts > 1 ? chunkOf(k, choice) : k;
  const form: Form = {
    ...{ a: a.side, b: b.side, tile, batch: axes.length, epilogue, split: parts > 1, sums: !!sums },
    ragged: k % (tile.depth || 4) !== 0,
  };
  p.run({
    label: `product ${member} ${tile.rows * tile.down}x${tile.columns * tile.across}${tile.unit ? ` by ${tile.unit.name}` : ""}`,
    ...(tile.unit && { enable: tile.unit.enable }),
    code: sources[member](form),
    params: {
      ...{ m: u32(m), n: u32(n), k: u32(k), batches: u32(batchesOf(product)), groups_down: u32(down), groups_across: u32(across) },
      ...steps(a),
      ...steps(b),
      ...Object.fromEntries(axes.map(({ extent }, i) => [`batch${i}`, u32(extent)])),
      ...(parts > 1 && { parts: u32(parts), chunk: u32(chunk), part: u32(batchesOf(product) * m * n) }),
      ...params,
    },
    groups: down * across * batchesOf(product) * parts,
    reads: { a: [a.place, a.width], b: [b.place, b.width], ...reads },
    writes,
  });
}

/** Negative steps count as their complement: sums wrap. */
const steps = ({ side: { name }, offset, outer, k, batch }: Fetched): Record<string, Param> => ({
  ...{ [`${name}_offset`]: u32(offset), [`${name}_outer`]: u32(outer >>> 0), [`${name}_k`]: u32(k >>> 0) },
  ...Object.fromEntries(batch.map((step, i) => [`${name}_batch${i}`, u32(step >>> 0)])),
});

/** Sums by parts into scratch, then their sum and what follows it. */
function launchParts(p: Planner, product: Placed, a: Fetched, b: Fetched, choice: Choice, ending: Ending): void {
  const { m, n, k, sums } = product;
  const parts = ceilDiv(k, chunkOf(k, choice));
  const lines = m * batchesOf(product);
  const [scratch, partial] = [p.scratch(parts * lines * n), sums && p.scratch(parts * m)];
  const width = n % 4 === 0 ? 4 : 1;
  const plain: Epilogue = { bias: false, residual: false, pre: false, activation: "none", width };
  launch(
    p,
    product,
    a,
    b,
    choice,
    { epilogue: plain, reads: {}, writes: { y: [scratch, width], ...(partial && { sums: partial }) }, params: {} },
    parts,
  );
  const { epilogue, reads, writes, params } = ending;
  const quads = ceilDiv(n, 4);
  p.run({
    label: "product parts",
    code: combineCode(epilogue, !!sums),
    params: { ...{ m: u32(m), n: u32(n), parts: u32(parts), part: u32(lines * n), quads: u32(quads), lines: u32(lines) }, ...params },
    groups: ceilDiv(quads * lines + (sums ? m : 0), 64),
    reads: { x: [scratch, epilogue.width], ...(partial && { partial }), ...reads },
    writes,
  });
}
