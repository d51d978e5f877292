import { DTypeError, defineOp, one, out, ShapeError, type Spec, show, statisticsOf, Tensor } from "@x/tensor";
import { expectDType, expectFloat } from "./expect.ts";

function check(x: Spec, cos: Spec, sin: Spec, positions: Spec): void {
  expectFloat("rope", "x", x);
  if (x.shape.length !== 4) throw new ShapeError(`rope: x must be [batch, heads, length, headDim], got ${show(x.shape)}.`);
  expectFloat("rope", "cos", cos);
  expectDType("rope", "sin", sin, cos, "cos");
  const [maxLength, pairs] = [cos.shape[0] ?? 0, cos.shape[1] ?? 0];
  if (cos.shape.length !== 2 || maxLength === 0 || show(cos.shape) !== show(sin.shape) || pairs * 2 > x.shape[3]!)
    throw new ShapeError(
      `rope: cos and sin must both be [maxLength, pairs] with at most ${Math.floor(x.shape[3]! / 2)} pairs for x ${show(x.shape)}, got ${show(cos.shape)} and ${show(sin.shape)}.`,
    );
  if (positions.dtype !== "i32") throw new DTypeError(`rope: positions must be i32, got ${positions.dtype}.`);
  const [batch, , length] = x.shape as [number, number, number, number];
  const fits = show(positions.shape) === show([length]) || show(positions.shape) === show([batch, length]);
  if (!fits)
    throw new ShapeError(
      `rope: positions must be [${length}] or [${batch}, ${length}] to match x ${show(x.shape)}, got ${show(positions.shape)}.`,
    );
}

/**
 * Rotary position embedding: each pair (a, b) of the first 2 * pairs elements becomes (a cos - b sin, b cos + a sin) at its position's angle; the rest pass. x [batch, heads, length,
 * headDim], cos and sin [maxLength, pairs], positions i32 [length] or [batch, length], clamped to the tables. Pairs are (i, i + pairs), or with `interleaved` (2i, 2i + 1). `inverse` turns back,
 * which is the gradient. Su et al. 2021, arXiv 2104.09864.
 */
export const rope = defineOp({
  name: "rope",
  inputs: { x: one(), cos: one(), sin: one(), positions: one() },
  attrs: { interleaved: false, inverse: false },
  outputs: { y: out() },
  infer: ({ x, cos, sin, positions }) => {
    check(x, cos, sin, positions);
    return { y: x };
  },
  reference: ({ x, cos, sin, positions }, { interleaved, inverse }) => {
    const pairs = cos.shape[1]!;
    const wide = statisticsOf(x.dtype);
    const at = (table: Tensor) => {
      const rows = table.take(positions, 0);
      return (positions.shape.length === 2 ? rows.unsqueeze(1) : rows).cast(wide);
    };
    const [c, s] = [at(cos), inverse ? at(sin).neg() : at(sin)];
    // Turned in f32 and rounded once: tables in half precision would lose the position.
    const turning = x.slice(3, 0, 2 * pairs).cast(wide);
    const [a, b] = interleaved
      ? [turning.slice(3, 0, 2 * pairs, 2), turning.slice(3, 1, 2 * pairs, 2)]
      : [turning.slice(3, 0, pairs), turning.slice(3, pairs, 2 * pairs)];
    const [first, second] = [a.mul(c).sub(b.mul(s)).cast(x.dtype), b.mul(c).add(a.mul(s)).cast(x.dtype)];
    const turned = interleaved ? Tensor.stack([first, second], 4).reshape(turning.shape) : Tensor.concat([first, second], 3);
    const rest = x.shape[3]! - 2 * pairs;
    return { y: rest === 0 ? turned : Tensor.concat([turned, x.slice(3, 2 * pairs, x.shape[3]!)], 3) };
  },
  saves: ["cos", "sin", "positions"],
  // The tables are constants of the encoding: no gradient flows into them.
  grad: ({ saved: { cos, sin, positions }, attrs: { interleaved, inverse }, upstream }): { x: Tensor } => ({
    x: rope({ x: upstream.y!, cos, sin, positions }, { interleaved, inverse: !inverse }),
  }),
  mayReuse: { y: "x" },
});
