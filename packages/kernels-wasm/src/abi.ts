import { type Field, type Fields, parseFields } from "./abi-types.ts";

/** What attention looks through, and where its heads lie: see `attention`. */
const looking = [
  "q:f32* k:f32* v:f32* keyMask?:u8* lengths?:i32* map?:u32* bias?:f32* key?:u32*",
  "heads:i32 kvHeads:i32 queries:i32 keys:i32 dim:i32 valueDim:i32 causal:i32 scale:f32",
  "reach?:i32 softcap?:f32 ordinal?:i32 threshold?:i32 kept?:f32",
] as const;
const ofHeads = ["qBatch:i32 qHead:i32 qRow:i32 kBatch:i32 kHead:i32 kRow:i32 vBatch:i32 vHead:i32 vRow:i32"] as const;

/**
 * The argument words of every kernel, in order: `name:type`, `name:type*` an address, `name?:` zero when absent, `[n]` n words.
 * Strides and extents count elements. A kernel runs units [begin, end) of its work; what a unit is stands in its comment.
 * `build.mjs` writes the C structs from this table, so the two sides cannot drift apart.
 */
export const abi = {
  /** B [k, n] into panels of 8 columns, packed[batch][ceil(n / 8)][k][8]. Units: panels of all matrices. */
  pack_b: ["packed:f32* b:f32*", "inner:i32 n:i32 k:i32 bRow:i32 bCol:i32 bOuter:i32 bInner:i32"],
  /**
   * c = activation(alpha a b + beta c + bias) + residual; `pre` takes what enters the activation; residual and pre lie like c.
   * Matrix i of the batch is at (i / inner) * outer stride + (i % inner) * inner stride. With packed = 1, b is what pack_b wrote
   * (strides of a packed matrix: ceil(n / 8) * 8 * k). Units: tiles of mTile (<= 96) x nTile (<= 512, a multiple of 8).
   */
  gemm: [
    "c:f32* a:f32* b:f32* bias?:f32* residual?:f32* pre?:f32*",
    "inner:i32 m:i32 n:i32 k:i32 mTile:i32 nTile:i32 packed:i32 activation:i32 alpha:f32 beta:f32",
    "aRow:i32 aCol:i32 aOuter:i32 aInner:i32 bRow:i32 bCol:i32 bOuter:i32 bInner:i32 cRow:i32 cOuter:i32 cInner:i32",
  ],
  /**
   * y[m, n] = x[m, k] W^T + bias for m <= 4 rows; W[o, i] = (code i of row o - zeros[o, g]) scales[o, g], g = i / group. Rows of codes are `rowBytes`, whole groups. Units: blocks of `columns` outputs.
   */
  quantized_gemv: [
    "y:f32* x:f32* weight:u8* scales:f32* zeros:u8* bias?:f32*",
    "m:i32 n:i32 k:i32 bits:i32 group:i32 groups:i32 rowBytes:i32 columns:i32",
  ],
  /** The same for many rows. Units: tiles of mTile (<= 96) rows x nTile (<= 64, a multiple of 8) outputs. */
  quantized_gemm: [
    "y:f32* x:f32* weight:u8* scales:f32* zeros:u8* bias?:f32*",
    "m:i32 n:i32 k:i32 bits:i32 group:i32 groups:i32 rowBytes:i32 mTile:i32 nTile:i32",
  ],
  /** y = softmax of each row of n, or its logarithm. Units: rows. */
  softmax: ["y:f32* x:f32*", "n:i32 log:i32"],
  /** dx from y and dy: y (dy - sum(y dy)), or dy - exp(y) sum(dy) of the logarithm. Units: rows. */
  softmax_grad: ["dx:f32* y:f32* dy:f32*", "n:i32 log:i32"],
  /**
   * Layer norm (centered = 1) or RMS norm of each row of n. With a residual, x + residual is normalised and stored in `sum`. Weights are
   * weight + weightOffset. `mean` and `inverse` take the rows' statistics. Units: rows.
   */
  norm: [
    "y:f32* x:f32* residual?:f32* sum?:f32* weight?:f32* bias?:f32* mean?:f32* inverse?:f32*",
    "n:i32 centered:i32 eps:f32 weightOffset?:f32",
  ],
  /** dx of a norm from what was normalised (x) and the rows' statistics; dsum is added. Units: rows. */
  norm_grad: ["dx:f32* x:f32* dy:f32* weight?:f32* mean?:f32* inverse:f32* dsum?:f32*", "n:i32 centered:i32 weightOffset?:f32"],
  /**
   * Sums over each chunk of rows of dy xhat and, with parts = 2, dy: partial[chunk][parts][n], to be summed over chunks by `reduce`.
   * Units: chunks of `chunk` rows.
   */
  norm_weight_grad: ["partial:f32* x:f32* dy:f32* mean?:f32* inverse:f32*", "rows:i32 n:i32 chunk:i32 parts:i32"],
  /** loss = lse - logit of the target for each row of n; 0 where the target is `ignore`. Units: rows. */
  cross_entropy: ["loss:f32* lse:f32* logits:f32* targets:i32*", "n:i32 ignore:i32"],
  /** dlogits = (softmax - onehot) dloss + softmax dlse for each row; a row to ignore has loss 0. Units: rows. */
  cross_entropy_grad: ["dlogits:f32* logits:f32* lse:f32* targets:i32* dloss?:f32* dlse?:f32*", "n:i32 ignore:i32"],
  /**
   * One step of AdamW as PyTorch writes it; outputs may be the inputs. lr, step (the count after this step), skip (not 0: leave everything
   * as it is) and scale (multiplies the gradient) are read from memory. ln beta comes in two parts. Units: chunks of `chunk` elements.
   */
  adamw: [
    "param:f32* grad:f32* m:f32* v:f32* outParam:f32* outM:f32* outV:f32* lr:f32* step:f32* skip?:u8* scale?:f32*",
    "count:i32 chunk:i32 beta2:f32 oneMinusBeta1:f32 oneMinusBeta2:f32 eps:f32 weightDecay:f32",
    "lnBeta1:f32 lnBeta1Low:f32 lnBeta2:f32 lnBeta2Low:f32",
  ],
  /**
   * Rotates pairs of the first `rotary` of `dim` elements by the angle of the row's position: pairs (i, i + rotary / 2), or (2 i, 2 i + 1)
   * with interleaved = 1; backwards with inverse = 1. Tables are [length, rotary / 2]; positions (clamped to the tables) are
   * positions[batch * positionBatch + row], or the row itself. Units: rows of [batch, heads, rows].
   */
  rope: [
    "y:f32* x:f32* cos:f32* sin:f32* positions?:i32*",
    "heads:i32 rows:i32 dim:i32 rotary:i32 length:i32 interleaved:i32 inverse:i32 positionBatch?:i32",
    "xBatch:i32 xHead:i32 xRow:i32 yBatch:i32 yHead:i32 yRow:i32",
  ],
  /**
   * Attention of [batch, heads, queries, dim] over [batch, kvHeads, keys, dim]: query head h reads key head h / (heads / kvHeads). Last axes
   * are contiguous, the others strided; o and lse are contiguous. keyMask [batch, keys] is 0 where a key is hidden; lengths [batch] cuts the
   * keys; causal is aligned bottom-right to the length. map, bias [heads, 2 reach + 1] and softcap (0: none) are those of the contract; with a
   * map, qTile is 64. Where kept is not 0, weights are dropped: draw `ordinal` of `key` keeps an element whose upper 24 bits reach `threshold`,
   * times kept. A row that sees nothing gives 0 and lse +inf. Units: tiles of qTile (<= 96, a multiple of 24 or 64) queries, of all heads and
   * batches. dim, valueDim <= 256.
   */
  attention: ["o:f32* lse:f32*", ...looking, "qTile:i32", ...ofHeads],
  /** delta = sum of dO O over valueDim, less dlse, for contiguous rows. Units: rows. */
  attention_delta: ["delta:f32* o:f32* grad:f32* dlse?:f32*", "valueDim:i32"],
  /**
   * dk and dv, contiguous [batch, kvHeads, keys, ...], summed over the query heads that share them, and `parts` of dq, contiguous [batch, heads, queries, dim] and partSize apart; grad (of o), lse, delta contiguous; the
   * rest as `attention`. Units: [batch, kvHeads, parts], each every parts-th tile of kTile (as qTile) keys.
   */
  attention_grad: ["dq:f32* dk:f32* dv:f32* grad:f32* lse:f32* delta:f32*", ...looking, "kTile:i32 parts:i32 partSize:i32", ...ofHeads],
  /** dq, the sum of its parts. Units: rows. */
  attention_grad_sum: ["dq:f32* dqs:f32*", "dim:i32 parts:i32 partSize:i32"],
  /**
   * Sums of the bias gradient over the batch and each diagonal of blocks of 64: partial[heads, diagonals, 128], at c - r + 63 for key r and
   * query c of the blocks. Units: diagonals of all heads.
   */
  attention_grad_bias: ["partial:f32* grad:f32* lse:f32* delta:f32*", ...looking, "batch:i32", ...ofHeads],
  /** dbias [heads, 2 reach + 1] from them: neighbours added, and what lies beyond the ends. Units: heads. */
  attention_bias_sum: ["dbias:f32* partial:f32* map?:u32*", "queries:i32 keys:i32 reach:i32"],
  /**
   * Attention over a cache, split over keys: partial o [batch, heads, queries, splits, valueDim] and lse [.., splits] of each `chunk` of the keys that a tile of queries may
   * see (-inf when it is empty), for `attention_combine`. Queries end at lengths[batch]; keyMask, bias, softcap (0: none), window (0: all), ring and pages [batch, keys / page] are
   * those of the contract. Elements of k and v are of a kind: 0 f32, 1 codes of 8 bits, with keyScales and valueScales, contiguous like the rows, 2 f16, 3 bf16. With pages kBatch and vBatch go from page to page of the `pool`.
   * Units: [batch, kvHeads, tiles of 96 of (heads / kvHeads) * queries, splits].
   */
  attention_decode: [
    "o:f32* lse:f32* q:f32* k:f32* v:f32* lengths:i32* keyMask?:u8* bias?:f32* pages?:i32* keyScales?:f32* valueScales?:f32*",
    "heads:i32 kvHeads:i32 queries:i32 keys:i32 dim:i32 valueDim:i32 scale:f32 softcap:f32 window:i32 ring:i32 keyKind?:i32 valueKind?:i32 page?:i32 pool?:i32 reach?:i32 splits:i32 chunk:i32",
    ...ofHeads,
  ],
  /** Merges partial results in the order of the splits. Units: rows. */
  attention_combine: ["o:f32* lse?:f32* partial:f32* partialLse:f32*", "splits:i32 valueDim:i32"],
  /**
   * y[m, n] = activation(alpha x W + bias) + residual for m <= 4 rows, W [k, n] by strides of which one is 1 or, with packed = 1, what pack_b wrote. `columns` (a multiple of 8) per
   * unit. Units: ceil(n / columns).
   */
  gemv: [
    "y:f32* x:f32* w:f32* bias?:f32* residual?:f32* pre?:f32*",
    "m:i32 n:i32 k:i32 wRow:i32 wCol:i32 xRow:i32 yRow:i32 columns:i32 packed:i32 activation:i32 alpha:f32",
  ],
  /**
   * out[outer, count, inner] = src[outer, indices, inner] along an axis of `axis` entries, elements of `size` bytes; index of (o, j, i) is
   * indices[o * indexOuter + j * indexCount + i * indexInner], clamped. Units: pairs (o, j).
   */
  gather: [
    "out:u8* src:u8* indices:i32*",
    "size:i32 axis:i32 count:i32 inner:i32 srcOuter:i32 indexOuter:i32 indexCount:i32 indexInner:i32",
  ],
  /**
   * out[outer, indices, inner] += src[outer, count, inner], in the order of j; with zero = 1 out is cleared first. Indices as `gather`.
   * Units: blocks of `columns` of the inner extent, of all o.
   */
  scatter_add: [
    "out:f32* src:f32* indices:i32*",
    "axis:i32 count:i32 inner:i32 columns:i32 zero:i32 indexOuter:i32 indexCount:i32 indexInner:i32",
  ],
  /** The same for words of either sign, which wrap; out is always cleared first. */
  scatter_add_i32: [
    "out:i32* src:i32* indices:i32*",
    "axis:i32 count:i32 inner:i32 columns:i32 indexOuter:i32 indexCount:i32 indexInner:i32",
  ],
  /**
   * Rows of src [batch, heads, rows, dim], by strides, to rows starts[batch] + i of out [batch, heads, capacity, dim], elements of `size` bytes;
   * those that fall outside are dropped. As a ring rows go round, and of more than `capacity` the last are written. With pages [batch, capacity / page], out is a
   * pool [pool, heads, page, dim]. Units: rows of src.
   */
  write_rows: [
    "out:u8* src:u8* starts:i32* pages?:i32*",
    "size:i32 heads:i32 rows:i32 capacity:i32 dim:i32 ring:i32 page?:i32 pool?:i32 srcBatch:i32 srcHead:i32 srcRow:i32",
  ],
  /** out[outer, inner] from x[outer, n, inner], f32: see `reductions`. Units: blocks of `columns` of the inner extent, of all outer. */
  reduce_f32: ["out:f32* x:f32*", "n:i32 inner:i32 columns:i32 op:i32"],
  /** The same for i32 and, with isUnsigned = 1, u32: sum, max, min, prod. */
  reduce_i32: ["out:i32* x:i32*", "n:i32 inner:i32 columns:i32 op:i32 isUnsigned:i32"],
  /** The same for bytes that are 0 or not: max is any, min is all. */
  reduce_bool: ["out:u8* x:u8*", "n:i32 inner:i32 columns:i32 op:i32"],
  /** Place along n of the first largest (op max) or smallest (op min) value; a NaN wins. Blocks and units as reduce. */
  arg_reduce: ["out:i32* x:f32*", "n:i32 inner:i32 columns:i32 op:i32"],
  /** The same for i32 and, with isUnsigned = 1, u32. */
  arg_reduce_i32: ["out:i32* x:i32*", "n:i32 inner:i32 columns:i32 op:i32 isUnsigned:i32"],
  /**
   * out by outStride = src by srcStride over shape, elements of `size` bytes, strides in elements (0 repeats). The last two axes are a plane.
   * Units: blocks of `rows` of shape[4], of all planes.
   */
  copy: ["out:u8* src:u8*", "size:i32 rows:i32 shape:i32[6] outStride:i32[6] srcStride:i32[6]"],
  /** `bytes` bytes of the repeated word. Units: chunks of `chunk` bytes, a multiple of 4. */
  fill: ["out:u8*", "word:i32 bytes:i32 chunk:i32"],
  /**
   * Running sum, product, max or min (as `reductions`) along n of [outer, n, inner]; exclusive = 1 leaves the element itself out. Units: blocks
   * of `columns` of inner, of all outer.
   */
  cumulate: ["out:f32* x:f32*", "n:i32 inner:i32 columns:i32 op:i32 reverse:i32 exclusive:i32"],
  /** The same for i32 and, with isUnsigned = 1, u32. */
  cumulate_i32: ["out:i32* x:i32*", "n:i32 inner:i32 columns:i32 op:i32 reverse:i32 exclusive:i32 isUnsigned:i32"],
  /**
   * The first k of each row of n in order, stable, NaN last: values and places. Elements are f32 (type 0), i32 (1) or u32 (2). `scratch` has
   * 16 n bytes for each row of a launch. Units: rows.
   */
  sort: ["values:f32* places:i32* x:f32* scratch:u64*", "n:i32 k:i32 descending:i32 type?:i32"],
  /**
   * y[batch, groups, outputs, outH * outW] from x[batch, groups, channels, height, width] and weight[groups, outputs, channels, kernelH, kernelW], all
   * contiguous, zero outside; strides, padding (may be negative), dilation of the input and of the kernel per axis.
   * Units: tiles of `rows` outputs x `columns` (<= 128, a multiple of 8) places, of every group of every image.
   */
  convolution: [
    "y:f32* x:f32* weight:f32*",
    "groups:i32 channels:i32 outputs:i32 height:i32 width:i32 outH:i32 outW:i32 kernelH:i32 kernelW:i32",
    "strideH:i32 strideW:i32 padH:i32 padW:i32 inputDilationH:i32 inputDilationW:i32 dilationH:i32 dilationW:i32 rows:i32 columns:i32",
  ],
  /**
   * Complex Fourier transform of rows of n, without scale; `im` may be absent (zero). n is the product of `radices` (unused ones are 0);
   * cos and sin are tables of 2 pi i / n, i < n; inverse = 1 turns the sign. `scratch` has 2 n floats for each row. Units: rows.
   */
  fft: ["outRe:f32* outIm:f32* re:f32* im?:f32* cos:f32* sin:f32* scratch:f32*", "n:i32 inverse:i32 radices:i32[24]"],
  /** cos and sin of 2 pi i / n, i < n. Units: chunks of `chunk` entries. */
  fft_tables: ["cos:f32* sin:f32*", "n:i32 chunk:i32"],
  /** y = one of `elementary` of x, f32. Units: chunks of `chunk` elements. */
  elementary: ["y:f32* x:f32*", "count:i32 chunk:i32 function:i32"],
} as const;

export type KernelName = keyof typeof abi;
export type KernelArgs<K extends KernelName> = Fields<(typeof abi)[K]>;

/** The activations that gemm and gemv fuse, by number. */
export const activations = { identity: 0, relu: 1, geluErf: 2, geluTanh: 3, silu: 4 } as const;

/** The functions of the kernel `elementary`, by number. */
export const elementary = { exp: 0, log: 1, tanh: 2, erf: 3, sigmoid: 4 } as const;

/** The operations of the reductions and running reductions, by number. `squares` is the sum of squares. */
export const reductions = { sum: 0, max: 1, min: 2, prod: 3, squares: 4 } as const;

const tables = new Map<string, readonly Field[]>();

export function fieldsOf(kernel: KernelName): readonly Field[] {
  const fields = tables.get(kernel) ?? parseFields(abi[kernel]);
  tables.set(kernel, fields);
  return fields;
}

/** Number of argument words of a kernel. */
export const wordsOf = (kernel: KernelName): number => fieldsOf(kernel).reduce((sum, field) => sum + field.words, 0);

/** The argument words of a call, by name: f32 fields as their bits, addresses and integers as they are. */
export function args<K extends KernelName>(kernel: K, values: KernelArgs<K>): Int32Array<ArrayBuffer> {
  const words = new Int32Array(wordsOf(kernel));
  const floats = new Float32Array(words.buffer);
  let at = 0;
  for (const field of fieldsOf(kernel)) {
    const value = (values as Record<string, number | ArrayLike<number> | undefined>)[field.name];
    if (value === undefined && !field.optional)
      throw new Error(`kernel ${kernel}: argument "${field.name}" is missing; it is ${field.type}`);
    const target = field.type === "f32" && !field.pointer ? floats : words;
    for (let i = 0; i < field.words; i++) target[at + i] = value === undefined ? 0 : typeof value === "number" ? value : (value[i] ?? 0);
    at += field.words;
  }
  return words;
}
