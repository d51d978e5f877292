import { signed, unsigned, type ValueType } from "./assembler.ts";
import { type Op, opcode, resultOf } from "./opcodes.ts";

/** A node of pure dataflow: an instruction on the values of other nodes. Equal nodes are one node. */
export interface Value {
  readonly id: number;
  readonly type: ValueType;
  /** The instruction's bytes, immediates included. */
  readonly code: readonly number[];
  readonly inputs: readonly Value[];
  /** What of a value needs no computing: a local that already holds it, or the sixteen bytes of a vector constant. */
  readonly held?: { readonly local: number } | { readonly constant: string };
  /** The word that is in all four lanes of a constant. */
  readonly word?: number;
}

/** A store: its address, then the vector. Runs after all values of its body are computed. */
export interface Store {
  readonly code: readonly number[];
  readonly address: Value;
  readonly value: Value;
}

const view = new DataView(new ArrayBuffer(8));

/** Builds the dataflow of one loop body. With `fused`, what an elementary function multiplies and adds is rounded once. All vectors are four lanes of 32 bits unless a name says f64x2 or i64x2. */
export class Graph {
  readonly stores: Store[] = [];
  readonly fused: boolean;
  private readonly nodes = new Map<string, Value>();
  private readonly constants = new Map<number, Value>();

  constructor(fused = false) {
    this.fused = fused;
  }

  /** `op` with immediates (lane indices, memory argument) on `inputs`. */
  with(op: Op, immediates: readonly number[], ...inputs: Value[]): Value {
    return this.node(resultOf(op), [...opcode(op), ...immediates], inputs);
  }
  op(op: Op, ...inputs: Value[]): Value {
    return this.with(op, [], ...inputs);
  }
  call(index: number, type: ValueType, ...inputs: Value[]): Value {
    return this.node(type, [0x10, ...unsigned(index)], inputs);
  }
  /** A store of `value` at `address`, in the order of the calls. */
  store(op: Op, immediates: readonly number[], address: Value, value: Value): void {
    this.stores.push({ code: [...opcode(op), ...immediates], address, value });
  }

  local(index: number, type: ValueType): Value {
    return this.node(type, [0x20, ...unsigned(index)], [], { held: { local: index } });
  }
  /** A scalar constant, such as a shift count. */
  scalar(value: number): Value {
    return this.node("i32", [0x41, ...signed(value)], []);
  }
  bytes(bytes: readonly number[], word?: number): Value {
    const code = [...opcode("v128.const"), ...bytes];
    return this.node("v128", code, [], { held: { constant: code.join() }, ...(word === undefined ? {} : { word }) });
  }
  words(words: readonly number[]): Value {
    return this.bytes(words.flatMap(littleEndian));
  }
  i32(value: number): Value {
    const word = value >>> 0;
    const found = this.constants.get(word);
    if (found) return found;
    const bytes = littleEndian(word);
    const made = this.bytes([...bytes, ...bytes, ...bytes, ...bytes], word);
    this.constants.set(word, made);
    return made;
  }
  f32(value: number): Value {
    view.setFloat32(0, value);
    return this.i32(view.getUint32(0));
  }
  f64(value: number): Value {
    view.setFloat64(0, value);
    return this.i64(view.getUint32(0), view.getUint32(4));
  }
  i64(high: number, low: number): Value {
    const half = [...littleEndian(low), ...littleEndian(high)];
    return this.bytes([...half, ...half]);
  }

  add = (a: Value, b: Value): Value => this.op("f32x4.add", a, b);
  sub = (a: Value, b: Value): Value => this.op("f32x4.sub", a, b);
  mul = (a: Value, b: Value): Value => this.op("f32x4.mul", a, b);
  /** a b + c inside an elementary function: instructions of a program are never contracted. */
  multiplyAdd = (a: Value, b: Value, c: Value): Value =>
    this.fused ? this.op("f32x4.relaxed_madd", a, b, c) : this.add(this.mul(a, b), c);
  div = (a: Value, b: Value): Value => this.op("f32x4.div", a, b);
  abs = (a: Value): Value => this.op("f32x4.abs", a);
  /** Lanes of `yes` where `mask` is all ones, of `no` where it is 0. */
  select = (mask: Value, yes: Value, no: Value): Value => this.op("v128.bitselect", yes, no, mask);
  /** The magnitude of `value` with the sign of `sign`. */
  copySign = (value: Value, sign: Value): Value => this.select(this.i32(0x80000000), sign, value);
  /** The same for a magnitude whose sign bit is clear. */
  signed = (magnitude: Value, sign: Value): Value => this.op("v128.or", magnitude, this.op("v128.and", sign, this.i32(0x80000000)));
  shift = (op: "i32x4.shl" | "i32x4.shr_s" | "i32x4.shr_u" | "i64x2.shl" | "i64x2.shr_u", value: Value, count: number): Value =>
    this.op(op, value, this.scalar(count));

  /** c0 + x (c1 + x (c2 + ...)), in f32 or f64 lanes. */
  polynomial(x: Value, coefficients: readonly number[], lanes: "f32" | "f64" = "f32"): Value {
    const terms = coefficients.map((c) => this[lanes](c));
    if (lanes === "f32") return terms.reduceRight((sum, term) => this.multiplyAdd(sum, x, term));
    return terms.reduceRight((sum, term) => this.op("f64x2.add", this.op("f64x2.mul", sum, x), term));
  }

  private node(type: ValueType, code: readonly number[], inputs: readonly Value[], rest: Partial<Value> = {}): Value {
    let key = String.fromCharCode(...code);
    for (const input of inputs) key += `,${input.id}`;
    const found = this.nodes.get(key);
    if (found) return found;
    const made: Value = { id: this.nodes.size, type, code, inputs, ...rest };
    this.nodes.set(key, made);
    return made;
  }
}

function littleEndian(word: number): number[] {
  return [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24];
}
