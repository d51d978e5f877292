import type { DType } from "@x/tensor";
import { unsigned } from "./assembler.ts";
import type { Graph, Value } from "./graph.ts";
import type { Op } from "./opcodes.ts";

/** Bytes of an element of a dtype that wasm serves. */
export type StoredType = Exclude<DType, "f64">;
export const widths: Readonly<Record<StoredType, 1 | 2 | 4>> = { f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4, u8: 1, bool: 1 };

interface Access {
  readonly vector: Op;
  readonly splat: Op;
  readonly lane: Op;
  readonly storeVector: Op;
  readonly storeLane: Op;
}
const accesses: Readonly<Record<1 | 2 | 4, Access>> = {
  1: {
    vector: "v128.load32_zero",
    splat: "v128.load8_splat",
    lane: "v128.load8_lane",
    storeVector: "v128.store32_lane",
    storeLane: "v128.store8_lane",
  },
  2: {
    vector: "v128.load64_zero",
    splat: "v128.load16_splat",
    lane: "v128.load16_lane",
    storeVector: "v128.store64_lane",
    storeLane: "v128.store16_lane",
  },
  4: {
    vector: "v128.load",
    splat: "v128.load32_splat",
    lane: "v128.load32_lane",
    storeVector: "v128.store",
    storeLane: "v128.store32_lane",
  },
};

/** No alignment is promised. */
const at = (offset: number): number[] => [0, ...unsigned(offset)];

/** Four elements side by side. */
export function loadVector(g: Graph, dtype: StoredType, address: Value, offset: number): Value {
  return widen(g, dtype, g.with(accesses[widths[dtype]].vector, at(offset), address));
}

/** One element in all lanes; `offset` in bytes. */
export function loadSplat(g: Graph, dtype: StoredType, address: Value, offset = 0): Value {
  return widen(g, dtype, g.with(accesses[widths[dtype]].splat, at(offset), address));
}

/** Four elements, each from its address. */
export function loadLanes(g: Graph, dtype: StoredType, addresses: readonly Value[]): Value {
  const { splat, lane } = accesses[widths[dtype]];
  const first = g.with(splat, at(0), addresses[0]!);
  const packed = addresses.slice(1).reduce((vector, address, index) => g.with(lane, [...at(0), index + 1], address, vector), first);
  return widen(g, dtype, packed);
}

export function storeVector(g: Graph, dtype: StoredType, address: Value, offset: number, value: Value): void {
  const width = widths[dtype];
  g.store(accesses[width].storeVector, width === 4 ? at(offset) : [...at(offset), 0], address, narrow(g, dtype, value));
}

/** Lane l to its address; equal addresses must get equal values. */
export function storeLanes(g: Graph, dtype: StoredType, addresses: readonly Value[], value: Value): void {
  const packed = narrow(g, dtype, value);
  for (const [lane, address] of addresses.entries()) g.store(accesses[widths[dtype]].storeLane, [...at(0), lane], address, packed);
}

/** Storage in the low lanes to registers. */
function widen(g: Graph, dtype: StoredType, packed: Value): Value {
  if (widths[dtype] === 4) return packed;
  const pairs = widths[dtype] === 1 ? g.op("i16x8.extend_low_i8x16_u", packed) : packed;
  const words = g.op("i32x4.extend_low_i16x8_u", pairs);
  if (dtype === "f16") return fromHalf(g, words);
  if (dtype === "bf16") return g.shift("i32x4.shl", words, 16);
  return dtype === "bool" ? g.op("i32x4.ne", words, g.i32(0)) : words;
}

/** Registers to storage in the low lanes. */
function narrow(g: Graph, dtype: StoredType, value: Value): Value {
  switch (dtype) {
    case "f16":
      return pack16(g, toHalf(g, value));
    case "bf16":
      return pack16(g, toBfloat(g, value));
    case "u8":
      return pack8(g, g.op("v128.and", value, g.i32(0xff)));
    case "bool":
      return pack8(g, g.op("v128.and", value, g.i32(1)));
    default:
      return value;
  }
}

const pack16 = (g: Graph, words: Value): Value => g.op("i16x8.narrow_i32x4_u", words, words);
const pack8 = (g: Graph, words: Value): Value => {
  const pairs = pack16(g, words);
  return g.op("i8x16.narrow_i16x8_u", pairs, pairs);
};

/** Moves exponent and fraction into place and adds to the exponent; what was subnormal gets its leading one taken off again. */
function fromHalf(g: Graph, half: Value): Value {
  const magnitude = g.shift("i32x4.shl", g.op("v128.and", half, g.i32(0x7fff)), 13);
  const normal = g.op("i32x4.add", magnitude, g.i32(112 << 23));
  const subnormal = g.sub(g.op("i32x4.add", magnitude, g.i32(113 << 23)), g.f32(2 ** -14));
  const special = g.op("v128.or", normal, g.i32(0x7f800000));
  const finite = g.select(g.op("i32x4.lt_s", magnitude, g.i32(1 << 23)), subnormal, normal);
  const value = g.select(g.op("i32x4.ge_s", magnitude, g.i32(31 << 23)), special, finite);
  return g.op("v128.or", value, g.shift("i32x4.shl", g.op("v128.and", half, g.i32(0x8000)), 16));
}

/** Nearest, ties to even; what will be subnormal is rounded by an addition that pushes the lost bits out. */
function toHalf(g: Graph, value: Value): Value {
  const magnitude = g.op("v128.and", value, g.i32(0x7fffffff));
  const even = g.op("v128.and", g.shift("i32x4.shr_u", magnitude, 13), g.i32(1));
  const rounded = g.op("i32x4.add", g.op("i32x4.add", magnitude, g.i32(0xfff - (112 << 23))), even);
  const normal = g.shift("i32x4.shr_u", rounded, 13);
  const subnormal = g.op("i32x4.sub", g.add(magnitude, g.f32(0.5)), g.f32(0.5));
  const special = g.select(g.op("i32x4.gt_s", magnitude, g.i32(0x7f800000)), g.i32(0x7e00), g.i32(0x7c00));
  const finite = g.select(g.op("i32x4.lt_s", magnitude, g.f32(2 ** -14)), subnormal, normal);
  const half = g.select(g.op("i32x4.ge_s", magnitude, g.f32(65520)), special, finite);
  return g.op("v128.or", half, g.op("v128.and", g.shift("i32x4.shr_u", value, 16), g.i32(0x8000)));
}

/** Nearest, ties to even; NaN stays NaN. */
function toBfloat(g: Graph, value: Value): Value {
  const high = g.shift("i32x4.shr_u", value, 16);
  const rounding = g.op("i32x4.add", g.op("v128.and", high, g.i32(1)), g.i32(0x7fff));
  const rounded = g.shift("i32x4.shr_u", g.op("i32x4.add", value, rounding), 16);
  return g.select(g.op("f32x4.ne", value, value), g.op("v128.or", high, g.i32(0x40)), rounded);
}
