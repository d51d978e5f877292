import type { TensorLike } from "./cell.ts";
import type { DType } from "./dtype.ts";
import { scalar } from "./pointwise.ts";
import type { Tensor } from "./tensor.ts";

type Operand = TensorLike | number;

/**
 * The elementwise methods of tensors, with NumPy's broadcasting. Nothing runs until something that is not elementwise needs the result; see pointwise.ts.
 */
export abstract class Elementwise {
  abstract readonly dtype: DType;
  /** This, as the tensor it is. */
  abstract get self(): Tensor;

  add(other: Operand): Tensor {
    return scalar("add", [this.self, other]);
  }
  sub(other: Operand): Tensor {
    return scalar("sub", [this.self, other]);
  }
  mul(other: Operand): Tensor {
    return scalar("mul", [this.self, other]);
  }
  div(other: Operand): Tensor {
    return scalar("div", [this.self, other]);
  }
  /** The remainder, with the sign of the dividend. */
  mod(other: Operand): Tensor {
    return scalar("mod", [this.self, other]);
  }
  pow(other: Operand): Tensor {
    return scalar("pow", [this.self, other]);
  }
  minimum(other: Operand): Tensor {
    return scalar("min", [this.self, other]);
  }
  maximum(other: Operand): Tensor {
    return scalar("max", [this.self, other]);
  }
  neg(): Tensor {
    return scalar("neg", [this.self]);
  }
  abs(): Tensor {
    return scalar("abs", [this.self]);
  }
  sign(): Tensor {
    return scalar("sign", [this.self]);
  }
  floor(): Tensor {
    return scalar("floor", [this.self]);
  }
  ceil(): Tensor {
    return scalar("ceil", [this.self]);
  }
  /** To the nearest integer, halves to even. */
  round(): Tensor {
    return scalar("round", [this.self]);
  }
  /** Towards zero. */
  trunc(): Tensor {
    return scalar("mul", [this.sign(), this.abs().floor()]);
  }
  sqrt(): Tensor {
    return scalar("sqrt", [this.self]);
  }
  rsqrt(): Tensor {
    return scalar("rsqrt", [this.self]);
  }
  square(): Tensor {
    return scalar("mul", [this.self, this.self]);
  }
  exp(): Tensor {
    return scalar("exp", [this.self]);
  }
  expm1(): Tensor {
    return scalar("expm1", [this.self]);
  }
  log(): Tensor {
    return scalar("log", [this.self]);
  }
  log1p(): Tensor {
    return scalar("log1p", [this.self]);
  }
  sin(): Tensor {
    return scalar("sin", [this.self]);
  }
  cos(): Tensor {
    return scalar("cos", [this.self]);
  }
  tanh(): Tensor {
    return scalar("tanh", [this.self]);
  }
  erf(): Tensor {
    return scalar("erf", [this.self]);
  }
  sigmoid(): Tensor {
    return scalar("sigmoid", [this.self]);
  }
  eq(other: Operand): Tensor {
    return scalar("eq", [this.self, other]);
  }
  ne(other: Operand): Tensor {
    return scalar("ne", [this.self, other]);
  }
  lt(other: Operand): Tensor {
    return scalar("lt", [this.self, other]);
  }
  le(other: Operand): Tensor {
    return scalar("le", [this.self, other]);
  }
  gt(other: Operand): Tensor {
    return scalar("gt", [this.self, other]);
  }
  ge(other: Operand): Tensor {
    return scalar("ge", [this.self, other]);
  }
  and(other: Operand): Tensor {
    return scalar("and", [this.self, other]);
  }
  or(other: Operand): Tensor {
    return scalar("or", [this.self, other]);
  }
  xor(other: Operand): Tensor {
    return scalar("xor", [this.self, other]);
  }
  not(): Tensor {
    return scalar("not", [this.self]);
  }
  /** Of a bool tensor: the elements of `yes` where it is true, of `no` elsewhere. At least one of them is a tensor. */
  where(yes: Operand, no: Operand): Tensor {
    return scalar("select", [this.self, yes, no]);
  }
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this.self : scalar("cast", [this.self], dtype);
  }
  /** The words of an f32 tensor as u32. */
  bits(): Tensor {
    return scalar("bits", [this.self], "u32");
  }
}
