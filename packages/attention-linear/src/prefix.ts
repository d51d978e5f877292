import { arange, full, noGrad, Tensor } from "@x/tensor";

/** A logarithm that stands for zero: WGSL need not know infinities. */
export const nothing = -1e30;
/** Chunks that one product adds up. Larger sets go by groups of groups, so that the work stays linear. */
const group = 16;

/**
 * For each chunk, what the chunks before it add up to. sums [batch, heads, chunks, rows, columns], several alike. With `ends` [batch, heads, chunks, 1, 1], each is meant times exp(its end), and so is each result
 * times exp(the end before it); ends never fall along the chunks, so that nothing overflows.
 */
export function beforeEach(sums: readonly Tensor[], ends: Tensor | undefined): Tensor[] {
  return ends ? decayed(sums, ends) : sums.map((x) => x.cumsum(2, { exclusive: true }));
}

/** Ends of the chunks before each; `first` or nothing before the first one. Along axis 2. */
export const endsBefore = (ends: Tensor, first: Tensor | undefined): Tensor => {
  const start = first ?? full([ends.shape[0]!, ends.shape[1]!, 1, 1, 1], nothing, ends);
  return Tensor.concat([start, ends.slice(2, 0, ends.shape[2]! - 1)], 2);
};

function decayed(sums: readonly Tensor[], ends: Tensor): Tensor[] {
  const [batch, heads, chunks] = ends.shape as [number, number, number];
  if (chunks <= group) {
    const one = within(
      sums.map((x) => x.unsqueeze(2)),
      ends.unsqueeze(2),
    );
    return one.map((x) => x.slice(3, 0, chunks).squeeze(2));
  }
  const groups = Math.ceil(chunks / group);
  const missing = groups * group - chunks;
  const grouped = (x: Tensor) => x.reshape([batch, heads, groups, group, ...x.shape.slice(3)]);
  const filled = grouped(Tensor.concat([ends, ends.slice(2, chunks - 1, chunks).expand([batch, heads, missing, 1, 1])], 2));
  const inner = within(
    sums.map((x) => grouped(padded(x, 2, missing))),
    filled,
  );
  const groupEnds = filled.slice(3, group - 1, group).squeeze(3);
  const outer = decayed(
    inner.map((x) => x.slice(3, group, group + 1).squeeze(3)),
    groupEnds,
  );
  const carry = noGrad(() => {
    const before = endsBefore(groupEnds, undefined).unsqueeze(3);
    const previous = Tensor.concat([before, filled.slice(3, 0, group - 1)], 3);
    return before.sub(previous).exp();
  });
  return inner.map((x, i) => {
    const all = x.slice(3, 0, group).add(outer[i]!.unsqueeze(3).mul(carry));
    return all.reshape([batch, heads, groups * group, ...all.shape.slice(4)]).slice(2, 0, chunks);
  });
}

/** The same in every group of [batch, heads, groups, n, ...], and as row n the sum of all, times exp of the last end: one product with a triangle of decays [n + 1, n]. */
function within(sums: readonly Tensor[], ends: Tensor): Tensor[] {
  const [batch, heads, groups, n] = ends.shape as [number, number, number, number];
  const decays = noGrad(() => {
    const { device } = ends;
    const row = arange(n + 1, { device }).reshape([n + 1, 1]);
    const column = arange(n, { device });
    const own = ends.reshape([batch, heads, groups, 1, n]);
    const previous = Tensor.concat([own.slice(4, 0, 1), own], 4).transpose();
    const differences = own.sub(previous);
    return column.lt(row).expand(differences.shape).where(differences, nothing).exp();
  });
  return sums.map((x) => {
    const [rows, columns] = x.shape.slice(4) as [number, number];
    return decays.matmul(x.reshape([batch, heads, groups, n, rows * columns])).reshape([batch, heads, groups, n + 1, rows, columns]);
  });
}

/** With `count` zeros (or other values) behind, along an axis. */
export const padded = (x: Tensor, axis: number, count: number, value = 0): Tensor =>
  count === 0
    ? x
    : x.pad(
        x.shape.map((_, i): [number, number] => [0, i === axis ? count : 0]),
        value,
      );
