import { Tensor } from "@x/tensor";
import { AttentionCache, type Decoding, decode } from "./attention-cache.ts";
import type { CachedKeys, CachedLook, NewHeads } from "./layer-cache.ts";

/** A cache that keeps all positions, as `decodeAttention` reads them: whatever they are kept as, position j stands at place j. */
export abstract class OrderedCache extends AttentionCache {
  /** Writes keys and values of the next positions. */
  protected abstract write(layer: number, heads: Omit<NewHeads, "q">): void;
  /** What `decodeAttention` reads of a layer. */
  protected abstract kept(layer: number): Pick<Decoding, "k" | "v" | "keyScales" | "valueScales" | "pages">;
  /** The same as plain keys and values, [batch, numKvHeads, places, dim]. */
  protected abstract read(layer: number): Omit<NewHeads, "q">;

  /** Places that are read. */
  protected get places(): number {
    return this.capacity;
  }

  protected attend(layer: number, { q, k, v }: NewHeads, look: CachedLook): Tensor {
    const count = q.shape[2]!;
    this.write(layer, { k, v });
    if (this.isWhole(count))
      return look.sees && this.isPadded ? this.#unpadded({ q, k, v }, look) : look.whole({ q, k, v }, this.present(this.first(count)));
    const keyMask = this.present(this.first(this.places));
    const over = (q: Tensor, before: number, keyMask: Tensor | undefined) =>
      decode({ q, ...this.kept(layer), lengths: this.lengths.value.add(before), keyMask }, look, this.places);
    if (!look.sees) return over(q, count, keyMask);
    // A mask is of one query.
    const [queries, keys] = [this.#standing(this.next(count)), this.#standing(this.first(this.places))];
    const each = Array.from({ length: count }, (_, i) => {
      const seen = look.sees!(queries.slice(1, i, i + 1), keys).squeeze(1);
      return over(q.slice(2, i, i + 1), i + 1, keyMask ? seen.and(keyMask) : seen);
    });
    return count === 1 ? each[0]! : Tensor.concat(each, 2);
  }

  protected append(layer: number, { k, v }: Omit<NewHeads, "q">): CachedKeys {
    const count = k.shape[2]!;
    this.write(layer, { k, v });
    const queries = this.#standing(this.next(count));
    if (this.isWhole(count)) return { k, v, queries, keys: queries };
    const places = this.first(this.places);
    const all = this.read(layer);
    // What stood there before a reset may be no number.
    const filled = places.lt(this.lengths.value.add(count).unsqueeze(1)).reshape([this.batch, 1, this.places, 1]);
    return { k: all.k, v: filled.where(all.v, 0), queries, keys: this.#standing(places) };
  }

  /** A first call as its rows are without their padding, each from its own beginning: what then follows the last token is seen by none. */
  #unpadded(heads: NewHeads, look: CachedLook): Tensor {
    const count = heads.q.shape[2]!;
    const shifted = (x: Tensor, by: Tensor): Tensor => {
      const from = this.first(count)
        .add(by.unsqueeze(1))
        .maximum(0)
        .minimum(count - 1);
      return x.gather(from.reshape([this.batch, 1, count, 1]).expand(x.shape), 2);
    };
    const padding = this.padding.value;
    const [q, k, v] = [heads.q, heads.k, heads.v].map((x) => shifted(x, padding)) as [Tensor, Tensor, Tensor];
    return shifted(look.whole({ q, k, v }, undefined), padding.neg());
  }

  /** Positions as they count without padding. */
  #standing(positions: Tensor): Tensor {
    return positions.sub(this.padding.value.unsqueeze(1));
  }
}
