import { ShapeError, TensorError } from "@x/tensor";

export interface TokenRows {
  /** Token ids, row-major over [batch, length]. */
  readonly ids: ArrayLike<number>;
  readonly shape: readonly [batch: number, length: number];
  /** 1 (or true) for tokens, 0 for padding; all are tokens if absent. */
  readonly attentionMask?: ArrayLike<number | boolean>;
  /** 1 (or true) where a token is global; none is if absent. */
  readonly globalMask?: ArrayLike<number | boolean>;
}

export interface PaddedRows {
  readonly shape: readonly [batch: number, length: number];
  readonly ids: Int32Array;
  /** Both masks in one, as published models are called: 0 padding, 1 a token that looks about its window, 2 a global token. Layers take mask.ne(0) and mask.eq(2). */
  readonly mask: Int32Array;
  /** RoBERTa's: tokens count from padId + 1, whatever has the id padId stands at padId. */
  readonly positions: Int32Array;
}

/**
 * Rows padded on the right to a multiple of `window`, the largest of a model's attention windows, as Hugging Face pads for published checkpoints; cut what comes out of the encoder back to the length that
 * went in. The layers here take any length: this is for the ids, masks and positions of a model that was trained so.
 */
export function padToWindow(rows: TokenRows, { window, padId }: { readonly window: number; readonly padId: number }): PaddedRows {
  const [batch, length] = rows.shape;
  if (!Number.isInteger(window) || window < 1)
    throw new TensorError(`padToWindow: window must be a number of tokens from 1 on, got ${window}.`);
  if (!Number.isInteger(padId) || padId < 0) throw new TensorError(`padToWindow: padId must be the id of the padding token, got ${padId}.`);
  for (const name of ["ids", "attentionMask", "globalMask"] as const)
    if (rows[name] && rows[name].length !== batch * length)
      throw new ShapeError(`padToWindow: ${name} must hold ${batch} x ${length} numbers, got ${rows[name].length}.`);
  const to = Math.ceil(length / window) * window;
  const [ids, mask, positions] = [
    new Int32Array(batch * to).fill(padId),
    new Int32Array(batch * to),
    new Int32Array(batch * to).fill(padId),
  ];
  const merged = mergeMasks(rows.attentionMask ?? new Uint8Array(batch * length).fill(1), rows.globalMask);
  for (let entry = 0; entry < batch; entry++)
    for (let i = 0, count = 0; i < length; i++) {
      const [from, at] = [entry * length + i, entry * to + i];
      ids[at] = rows.ids[from]!;
      mask[at] = merged[from]!;
      if (ids[at] !== padId) positions[at] = padId + ++count;
    }
  return { shape: [batch, to], ids, mask, positions };
}

/** attentionMask (globalMask + 1): 0 for padding, 1 for a token, 2 for a global one. Padding is never global. */
export function mergeMasks(attentionMask: ArrayLike<number | boolean>, globalMask?: ArrayLike<number | boolean>): Int32Array {
  if (globalMask && globalMask.length !== attentionMask.length)
    throw new ShapeError(`mergeMasks: both masks must be of one length, got ${attentionMask.length} and ${globalMask.length}.`);
  return Int32Array.from(
    { length: attentionMask.length },
    (_, i) => Number(Boolean(attentionMask[i])) * (Number(Boolean(globalMask?.[i])) + 1),
  );
}
