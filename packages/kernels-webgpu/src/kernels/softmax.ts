import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from "@x/ops";
import { axisIn } from "@x/tensor";
import { type RowProgram, rowForm } from "../wgsl/rows.ts";
import { alongLast } from "./along-last.ts";
import { webgpuKernel } from "./kernel.ts";
import { runRows } from "./rows.ts";

/** `top`, the largest of the row, and `sum` at zero. */
const largest = `
  var high = x_row(row, min(lane, p.vectors - 1u));
  for (var k = lane + LANES; k < p.vectors; k += LANES) { high = max(high, x_row(row, k)); }
  let top = V(row_max(max(max(high.x, high.y), max(high.z, high.w)), lane));
  var sum = V(0.0);`;

/** The exponentials are kept in the output where computing them again costs more than reading them. */
const softmaxProgram = (kept: boolean): RowProgram => ({
  loads: kept ? ["x", "y"] : ["x"],
  stores: ["y"],
  math: ["m_exp"],
  body: `${largest}
  for (var k = lane; k < p.vectors; k += LANES) {
    let e = m_exp(x_row(row, k) - top);
    ${kept ? "y_set_row(row, k, e);" : ""}
    sum += tail(k, e);
  }
  let scale = 1.0 / row_sum(fold(sum), lane);
  for (var k = lane; k < p.vectors; k += LANES) { y_set_row(row, k, ${kept ? "y_row(row, k)" : "m_exp(x_row(row, k) - top)"} * scale); }`,
});

const logSoftmaxProgram: RowProgram = {
  loads: ["x"],
  stores: ["y"],
  math: ["m_exp", "m_log"],
  body: `${largest}
  for (var k = lane; k < p.vectors; k += LANES) { sum += tail(k, m_exp(x_row(row, k) - top)); }
  let log_sum = m_log(V(row_sum(fold(sum), lane)));
  for (var k = lane; k < p.vectors; k += LANES) { y_set_row(row, k, (x_row(row, k) - top) - log_sum); }`,
};

const softmaxBackwardProgram: RowProgram = {
  loads: ["y", "dy"],
  stores: ["dx"],
  body: `
  var sum = V(0.0);
  for (var k = lane; k < p.vectors; k += LANES) { sum += tail(k, y_row(row, k) * dy_row(row, k)); }
  let dot = row_sum(fold(sum), lane);
  for (var k = lane; k < p.vectors; k += LANES) { dx_set_row(row, k, y_row(row, k) * (dy_row(row, k) - dot)); }`,
};

const logSoftmaxBackwardProgram: RowProgram = {
  loads: ["y", "dy"],
  stores: ["dx"],
  math: ["m_exp"],
  body: `
  var sum = V(0.0);
  for (var k = lane; k < p.vectors; k += LANES) { sum += tail(k, dy_row(row, k)); }
  let total = row_sum(fold(sum), lane);
  for (var k = lane; k < p.vectors; k += LANES) { dx_set_row(row, k, dy_row(row, k) - m_exp(y_row(row, k)) * total); }`,
};

const forward = (op: typeof softmax, log: boolean) =>
  webgpuKernel(op, {
    plan(p, { specs: { x }, attrs: { axis } }) {
      alongLast(p, x.shape, axisIn(axis, x.shape.length, "softmax"), { x: p.input("x") }, { y: p.output("y") }, (at, rows, n) => {
        const form = rowForm(p.caps.software, n);
        const kept = form.lanes === 1 && !log;
        const program = log ? logSoftmaxProgram : softmaxProgram(kept);
        const y = { y: at.y };
        runRows(p, form, program, { reads: { x: at.x }, writes: kept ? {} : y, ...(kept && { modifies: y }) }, rows, n);
      });
    },
  });

const backward = (op: typeof softmaxBackward, program: RowProgram) =>
  webgpuKernel(op, {
    plan(p, { specs: { y }, attrs: { axis } }) {
      const inputs = { y: p.input("y"), dy: p.input("dy") };
      alongLast(p, y.shape, axisIn(axis, y.shape.length, "softmax"), inputs, { dx: p.output("dx") }, (at, rows, n) =>
        runRows(p, rowForm(p.caps.software, n), program, { reads: { y: at.y, dy: at.dy }, writes: { dx: at.dx } }, rows, n),
      );
    },
  });

export const softmaxKernels = [
  forward(softmax, false),
  forward(logSoftmax as unknown as typeof softmax, true),
  backward(softmaxBackward, softmaxBackwardProgram),
  backward(logSoftmaxBackward as unknown as typeof softmaxBackward, logSoftmaxBackwardProgram),
];
