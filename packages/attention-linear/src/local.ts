import { attention, blockMap, type Pattern } from "@x/ops";
import { arange, type State, Tensor } from "@x/tensor";

export interface LocalInputs {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly keyMask: Tensor | undefined;
}

/** Softmax attention in a window; the last query stands at the last key. */
export function localAttention({ q, k, v, keyMask }: LocalInputs, pattern: Pattern, scale: number): Tensor {
  const map = blockMap(pattern, { queries: q.shape[2]!, keys: k.shape[2]!, device: q.device });
  return attention({ q, k, v, keyMask, map }, { scale });
}

/** The last keys and values of local heads, [batch, heads, window, headDim]: what a window can still see. */
export interface Recent {
  readonly keys: State;
  readonly values: State;
}

/** New keys and values behind the recent ones, and which of them are positions of the row: those from `padding` on, where `lengths` (both i32 [batch]) are filled. What the window leaves is forgotten. */
export function afterRecent(
  { keys, values }: Recent,
  { k, v }: Pick<LocalInputs, "k" | "v">,
  { lengths, padding }: { readonly lengths: Tensor; readonly padding: Tensor },
): Omit<LocalInputs, "q"> {
  const all = { k: behind(keys, k), v: behind(values, v) };
  const [kept, total] = [keys.shape[2]!, all.k.shape[2]!];
  const position = arange(total, { device: k.device }).sub(kept).add(lengths.sub(padding).unsqueeze(1));
  // Before a row's first position stands padding, or nothing yet.
  const keyMask = position.ge(0);
  keep(keys, all.k);
  keep(values, all.v);
  return { ...all, keyMask };
}

/** Cells are wide whatever the model computes in. */
const behind = (cell: State, x: Tensor): Tensor => Tensor.concat([cell.value.cast(x.dtype), x], 2);
const keep = (cell: State, all: Tensor): void => cell.set(all.slice(2, all.shape[2]! - cell.shape[2]!, all.shape[2]!).cast(cell.dtype));
