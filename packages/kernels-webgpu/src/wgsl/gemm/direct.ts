import { mathSource } from "../math.ts";
import {
  accumulators,
  batchLines,
  blockLines,
  type Form,
  finishCode,
  groupLines,
  lane,
  mathOf,
  placeLines,
  range,
  rowLines,
  stepLines,
  storeLines,
  sumLines,
  sumsLines,
} from "./form.ts";

/**
 * Each invocation reads what it needs from memory and keeps its results in registers: no shared memory, no barrier. The best form where the processor plays the GPU, and for few rows.
 */
export function directCode(form: Form): string {
  const { a, b, tile, ragged } = form;
  const { rows, columns, down, across } = tile;
  const [single, quads] = [rows < 4, columns / 4];
  const end = ragged ? "end" : undefined;
  const places = [
    ...(single
      ? range(rows).flatMap((r) => placeLines({ ...a, along: a.along === "k" ? "k" : "any" }, `a${r}`, `i + ${r}u`).slice(0, 1))
      : range(rows / 4).flatMap((q) => placeLines(a, `a${q}`, `i + ${4 * q}u`))),
    ...range(quads).flatMap((q) => placeLines(b, `b${q}`, `j + ${4 * q}u`)),
  ];
  const loads = [
    ...(single
      ? range(rows).flatMap((r) => rowLines(a, `a${r}`, "k", end))
      : range(rows / 4).flatMap((q) => blockLines(a, `a${q}`, "k", end))),
    ...range(quads).flatMap((q) => blockLines(b, `b${q}`, "k", end)),
  ];
  const steps = range(4).flatMap((t) => [
    ...stepLines(
      form,
      (r) => (single ? `a${r}.${lane(t)}` : `a${r >> 2}_${t}.${lane(r & 3)}`),
      (q) => `b${q}_${t}`,
    ),
  ]);
  return `${mathSource(mathOf(form.epilogue.activation))}${finishCode(form.epilogue)}
@compute @workgroup_size(${across * down})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  ${groupLines(form).join("\n  ")}
  let i = (by * ${down}u + index / ${across}u) * ${rows}u;
  let j = (bx * ${across}u + index % ${across}u) * ${columns}u;
  if (batch >= p.batches || i >= p.m || j >= p.n) { return; }
  ${batchLines(form.batch).join("\n  ")}
  ${places.join("\n  ")}
  ${accumulators(form).join("\n  ")}
  ${sumLines(form).join("\n  ")}
  for (var k = begin; k < end; k += 4u) {
    ${[
      ...loads,
      ...sumsLines(form, (q) =>
        range(4)
          .map((t) => `a${q}_${t}`)
          .join(" + "),
      ),
      ...steps,
    ].join("\n    ")}
  }
  ${storeLines(
    form,
    (r) => `(i + ${r}u)`,
    (q) => `(j + ${4 * q}u)`,
  ).join("\n  ")}
}
`;
}
