import { arange, type Tensor } from "@x/tensor";

/** Which tokens of each entry are global. */
export interface GlobalTokens {
  /** i32 [batch, slots]: where the token of each slot stands in [batch * length]. */
  readonly rows: Tensor;
  /** i32 [batch, slots]: where it stands in its entry. */
  readonly places: Tensor;
  /** bool [batch, slots]: whether there is a token in it. */
  readonly used: Tensor;
  /** bool [batch, length]: whether the token at a position is global. */
  readonly at: Tensor;
  /** bool [batch]: whether the slots hold all of them; absent: they do. */
  readonly complete?: Tensor;
}

/** The tokens where `at`, bool [batch, length], is true, in order; as many slots for each entry, and those left over hold none. */
export function maskedTokens(at: Tensor, slots: number): GlobalTokens {
  const [batch, length] = at.shape as [number, number];
  const { device } = at;
  const ones = at.cast("i32");
  const nth = ones.cumsum(1);
  // Slots count from 1: place 0 takes what is not global or finds no slot.
  const place = nth.mul(ones).mul(nth.le(slots).cast("i32"));
  const positions = arange(length, { device }).expand([batch, length]);
  const chosen = positions.scatterAdd(place, 1, slots + 1).slice(1, 1, slots + 1);
  const count = ones.sum(1);
  return {
    rows: chosen.add(firstRows(batch, length, at)),
    places: chosen,
    used: arange(slots, { device }).lt(count.reshape([batch, 1])),
    at,
    complete: count.le(slots),
  };
}

/** The tokens at positions i32 [slots] of every entry; `present` bool [batch, length] is false where there is only padding. */
export function fixedTokens(tokens: Tensor, [batch, length]: readonly [number, number], present: Tensor | undefined): GlobalTokens {
  const slots = tokens.shape[0]!;
  const ones = tokens.onesLike();
  const at = ones.putAdd(tokens, 0, length).ne(0).expand([batch, length]);
  return {
    rows: tokens.expand([batch, slots]).add(firstRows(batch, length, tokens)),
    places: tokens.expand([batch, slots]),
    used: (present ? present.cast("i32").take(tokens, 1) : ones.expand([batch, slots])).ne(0),
    at: present ? at.and(present) : at,
  };
}

/** Rows [batch, slots, width] of x [batch, length, width]. */
export const takeRows = (x: Tensor, { rows }: GlobalTokens): Tensor => x.reshape([-1, x.shape[2]!]).take(rows, 0);

/** x [batch, length, width] with the rows of the tokens added, [batch, slots, width]; what a slot without a token holds is left out, and gets no gradient. */
export function addRows(x: Tensor, values: Tensor, { rows, used }: GlobalTokens): Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  const kept = used.unsqueeze(-1).expand(values.shape).where(values, values.zerosLike());
  return x.add(kept.putAdd(rows, 0, batch * length).reshape([batch, length, width]));
}

const firstRows = (batch: number, length: number, { device }: Tensor): Tensor => arange(batch, { device }).mul(length).reshape([batch, 1]);
