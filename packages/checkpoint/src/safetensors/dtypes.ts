import type { DType } from "@x/tensor";

/** Element types of the format whose values can be read. */
export type FileDType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "F8_E4M3"
  | "F8_E5M2"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

interface FileDTypeInfo {
  readonly bits: number;
  /** What it becomes when nothing else is asked; undefined: the bytes can be read, the values cannot. */
  readonly native?: DType;
}

/** Every element type a file may name. A Map, so that a hostile name ("constructor") finds nothing. */
export const fileDTypes: ReadonlyMap<string, FileDTypeInfo> = new Map<string, FileDTypeInfo>([
  ["F64", { bits: 64, native: "f64" }],
  ["F32", { bits: 32, native: "f32" }],
  ["F16", { bits: 16, native: "f16" }],
  ["BF16", { bits: 16, native: "bf16" }],
  ["F8_E4M3", { bits: 8, native: "f32" }],
  ["F8_E5M2", { bits: 8, native: "f32" }],
  ["I64", { bits: 64, native: "i32" }],
  ["I32", { bits: 32, native: "i32" }],
  ["I16", { bits: 16, native: "i32" }],
  ["I8", { bits: 8, native: "i32" }],
  ["U64", { bits: 64, native: "u32" }],
  ["U32", { bits: 32, native: "u32" }],
  ["U16", { bits: 16, native: "u32" }],
  ["U8", { bits: 8, native: "u8" }],
  ["BOOL", { bits: 8, native: "bool" }],
  ["C64", { bits: 64 }],
  ["F8_E8M0", { bits: 8 }],
  ["F8_E4M3FNUZ", { bits: 8 }],
  ["F8_E5M2FNUZ", { bits: 8 }],
  ["F6_E2M3", { bits: 6 }],
  ["F6_E3M2", { bits: 6 }],
  ["F4", { bits: 4 }],
]);

const fileDTypeOf: Readonly<Record<DType, FileDType>> = {
  f64: "F64",
  f32: "F32",
  f16: "F16",
  bf16: "BF16",
  i32: "I32",
  u32: "U32",
  u8: "U8",
  bool: "BOOL",
};

/** The type under which a tensor of ours is written. */
export const toFileDType = (dtype: DType): FileDType => fileDTypeOf[dtype];

/** What values of the type become when nothing else is asked: I64 i32, I8 and I16 i32, U16 u32, F8 f32; undefined if unreadable. */
export const nativeDType = (dtype: string): DType | undefined => fileDTypes.get(dtype)?.native;
