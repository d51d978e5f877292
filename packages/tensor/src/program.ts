import type { DType, RegisterType } from "./dtype.ts";

/**
 * The pointwise language: straight-line programs in single assignment form, run once for every element. Each device compiles them.
 * Arithmetic is done in the register type (f32 for f16 and bf16, which round at the store); a compiler must not contract
 * across instructions, so that a chain gives the same bits fused or not.
 */
export type Instruction =
  /** The element of leaf `leaf`, converted to its register type. */
  | { readonly op: "leaf"; readonly leaf: number; readonly type: RegisterType }
  | { readonly op: "literal"; readonly value: number; readonly type: RegisterType }
  /** The element's position in the row-major order of the program's shape, u32. */
  | { readonly op: "index"; readonly type: "u32" }
  /** 32 random bits, u32: Philox4x32-10 of leaf `leaf` (four u32: key low, key high, step low, step high) at draw `ordinal`. See random.ts. */
  | { readonly op: "random"; readonly leaf: number; readonly ordinal: number; readonly type: "u32" }
  /** Any row of the instruction table (instructions.ts), on earlier registers. */
  | { readonly op: ScalarName; readonly args: readonly number[]; readonly type: RegisterType };

export type ScalarName =
  // Number to the same number type. `round` is half to even; integer `div` truncates; `mod` has the sign of the dividend.
  | "neg"
  | "abs"
  | "sign"
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "mod"
  | "min"
  | "max"
  // Float to float. erf to 1e-7 or better; min and max pass NaN on; pow follows IEEE also for negative bases.
  | "floor"
  | "ceil"
  | "round"
  | "sqrt"
  | "rsqrt"
  | "exp"
  | "expm1"
  | "log"
  | "log1p"
  | "sin"
  | "cos"
  | "tanh"
  | "erf"
  | "sigmoid"
  | "pow"
  // Two numbers of one type to bool.
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  // Bool to bool, or bitwise on integers; shifts are logical on u32, arithmetic on i32.
  | "and"
  | "or"
  | "xor"
  | "not"
  | "shl"
  | "shr"
  // (bool, a, a) to a; `cast` converts to `type` (float to integer truncates and saturates, to bool is != 0); `bits` is f32 read as u32.
  | "select"
  | "cast"
  | "bits";

export interface Program {
  /** Dtypes of what is loaded. A leaf read by `random` is a key of four words and is read by nothing else. */
  readonly leaves: readonly DType[];
  readonly instructions: readonly Instruction[];
  /** Registers that are stored, with the dtype of the store. */
  readonly outputs: readonly { readonly register: number; readonly dtype: DType }[];
}
