import { type Field, type Fields, parseFields } from "./abi-types.ts";

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
} as const;

export type KernelName = keyof typeof abi;
export type KernelArgs<K extends KernelName> = Fields<(typeof abi)[K]>;

/** The activations that gemm and gemv fuse, by number. */
export const activations = { identity: 0, relu: 1, geluErf: 2, geluTanh: 3, silu: 4 } as const;

const tables = new Map<string, readonly Field[]>();

export function fieldsOf(kernel: KernelName): readonly Field[] {
  let fields = tables.get(kernel);
  if (!fields) tables.set(kernel, (fields = parseFields(abi[kernel])));
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
    if (value === undefined && !field.optional) throw new Error(`kernel ${kernel}: argument "${field.name}" is missing; it is ${field.type}`);
    const target = field.type === "f32" && !field.pointer ? floats : words;
    for (let i = 0; i < field.words; i++) target[at + i] = value === undefined ? 0 : typeof value === "number" ? value : (value[i] ?? 0);
    at += field.words;
  }
  return words;
}
