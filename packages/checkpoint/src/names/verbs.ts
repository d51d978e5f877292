/** What a rule does with the tensors whose published names it matches. Made by `split`, `join`, `transpose` and `drop`. */
export type Verb =
  | {
      readonly kind: "move";
      readonly ours: string;
      readonly axis: number;
      readonly parts?: readonly number[];
      readonly transposed: boolean;
    }
  | { readonly kind: "drop"; readonly reason: string };

export interface SplitOptions {
  /** Axis of the published tensors along which they are cut or put together. */
  readonly axis: number;
  /** Relative sizes of the parts, such as `[4, 1, 1]`; equal if absent. */
  readonly parts?: readonly number[];
  /** `transpose`: each of ours is turned around, after cutting or putting together. */
  readonly andThen?: typeof transpose;
}

/** One published tensor becomes several of ours: `split("block.{query,key,value}.weight", { axis: 1, andThen: transpose })`. */
export const split = (ours: string, options: SplitOptions): Verb => move(ours, options);

/** Several published tensors, `["mlp.{gate,up}.weight", join("mlp.gateUp.weight", { axis: 0 })]`, become one of ours. */
export const join = (ours: string, options: SplitOptions): Verb => move(ours, options);

const move = (ours: string, { axis, parts, andThen }: SplitOptions): Verb => ({
  kind: "move",
  ours,
  axis,
  ...(parts && { parts }),
  transposed: andThen !== undefined,
});

/** The last two axes change places: a published `[in, out]` weight becomes our `[out, in]`. */
export const transpose = (ours: string): Verb => ({ kind: "move", ours, axis: 0, transposed: true });

/** The tensor is left out, and reported with the reason. The one verb that export cannot undo. */
export const drop = (reason: string): Verb => ({ kind: "drop", reason });
