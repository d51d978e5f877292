import { crossEntropy, crossEntropyBackward } from "@x/ops";
import { sizeOf } from "@x/tensor";
import { i32 } from "../device/launch.ts";
import { type RowProgram, rowForm } from "../wgsl/rows.ts";
import { webgpuKernel } from "./kernel.ts";
import { runRows } from "./rows.ts";

/** The target of the row within the classes, and whether it counts. */
const target = `
  let label = targets_at(row);
  let counts = label != p.ignored;
  let target_class = u32(clamp(label, 0, i32(p.n) - 1));`;

const forwardProgram = (kept: boolean): RowProgram => ({
  loads: ["logits"],
  math: ["m_exp", "m_log"],
  body: `${target}
  var high = logits_row(row, min(lane, p.vectors - 1u));
  for (var k = lane + LANES; k < p.vectors; k += LANES) { high = max(high, logits_row(row, k)); }
  let top = row_max(max(max(high.x, high.y), max(high.z, high.w)), lane);
  var sum = V(0.0);
  for (var k = lane; k < p.vectors; k += LANES) { sum += tail(k, m_exp(logits_row(row, k) - top)); }
  let log_sum_exp = m_log(V(row_sum(fold(sum), lane))).x + top;
  if (lane == 0u) {
    ${kept ? "log_sum_exp_put(row, log_sum_exp);" : ""}
    loss_put(row, select(0.0, log_sum_exp - logits_row(row, target_class / 4u)[target_class % 4u], counts));
  }`,
});

export const crossEntropyKernel = webgpuKernel(crossEntropy, {
  plan(p, { specs: { logits, targets }, attrs: { ignoreIndex } }) {
    const n = logits.shape.at(-1)!;
    const log_sum_exp = p.wanted("logSumExp");
    const single = { reads: { targets: p.input("targets") }, writes: { loss: p.output("loss"), log_sum_exp } };
    const program = forwardProgram(log_sum_exp !== undefined);
    const places = { reads: { logits: p.input("logits") }, single };
    runRows(p, rowForm(p.caps.software, n), program, places, sizeOf(targets.shape), n, { ignored: i32(ignoreIndex) });
  },
});

const backwardProgram = (loss: boolean, statistic: boolean): RowProgram => ({
  loads: ["logits"],
  stores: ["d_logits"],
  math: ["m_exp"],
  body: `${target}
  let counted = ${loss ? "select(0.0, d_loss_at(row), counts)" : "0.0"};
  let spread = counted${statistic ? " + d_statistic_at(row)" : ""};
  let log_sum_exp = log_sum_exp_at(row);
  for (var k = lane; k < p.vectors; k += LANES) {
    var v = m_exp(logits_row(row, k) - log_sum_exp) * spread;
    if (k == target_class / 4u) { v[target_class % 4u] -= counted; }
    d_logits_set_row(row, k, v);
  }`,
});

export const crossEntropyBackwardKernel = webgpuKernel(crossEntropyBackward, {
  plan(p, { specs: { logits, targets }, attrs: { ignoreIndex } }) {
    const n = logits.shape.at(-1)!;
    const [loss, statistic] = [p.has("dLoss"), p.has("dLogSumExp")];
    const reads = {
      targets: p.input("targets"),
      log_sum_exp: p.input("logSumExp"),
      ...(loss && { d_loss: p.input("dLoss") }),
      ...(statistic && { d_statistic: p.input("dLogSumExp") }),
    };
    const places = { reads: { logits: p.input("logits") }, writes: { d_logits: p.output("dLogits") }, single: { reads } };
    const program = backwardProgram(loss, statistic);
    runRows(p, rowForm(p.caps.software, n), program, places, sizeOf(targets.shape), n, { ignored: i32(ignoreIndex) });
  },
});

export const crossEntropyKernels = [crossEntropyKernel, crossEntropyBackwardKernel];
