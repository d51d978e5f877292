/** Element types a tensor can have. `f16` and `bf16` are storage: arithmetic on them is done in f32. */
export type DType = "f64" | "f32" | "f16" | "bf16" | "i32" | "u32" | "u8" | "bool";

/** What an element becomes in a register: the type that arithmetic is done in. */
export type RegisterType = "f64" | "f32" | "i32" | "u32" | "bool";

/** What reading a tensor gives: f16 and bf16 arrive as Float32Array, bool as Uint8Array of 0 and 1. */
export type HostArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array;

export interface DTypeInfo {
  readonly bytes: number;
  readonly register: RegisterType;
  readonly kind: "float" | "integer" | "bool";
  /** The host array whose elements have the storage's width; f16 and bf16 are raw 16-bit words. */
  readonly storage: new (
    buffer: ArrayBufferLike,
    byteOffset: number,
    length: number,
  ) => HostArray | Uint16Array;
}

export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  f64: { bytes: 8, register: "f64", kind: "float", storage: Float64Array },
  f32: { bytes: 4, register: "f32", kind: "float", storage: Float32Array },
  f16: { bytes: 2, register: "f32", kind: "float", storage: Uint16Array },
  bf16: { bytes: 2, register: "f32", kind: "float", storage: Uint16Array },
  i32: { bytes: 4, register: "i32", kind: "integer", storage: Int32Array },
  u32: { bytes: 4, register: "u32", kind: "integer", storage: Uint32Array },
  u8: { bytes: 1, register: "u32", kind: "integer", storage: Uint8Array },
  bool: { bytes: 1, register: "bool", kind: "bool", storage: Uint8Array },
};

export const isFloat = (dtype: DType): boolean => dtypes[dtype].kind === "float";

/** The type statistics and accumulators have: f64 for f64, else f32. */
export const statisticsOf = (dtype: DType): DType => (dtype === "f64" ? "f64" : "f32");

const word = new DataView(new ArrayBuffer(4));

/** The 16 bits of `value` as IEEE half precision, rounded to nearest even; too large becomes infinity. */
export function toHalf(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
  const unbiased = exponent - 127 + 15;
  if (unbiased >= 0x1f) return sign | 0x7c00;
  if (unbiased <= 0) {
    if (unbiased < -10) return sign;
    return sign | roundShift(fraction | 0x800000, 14 - unbiased);
  }
  return sign | ((unbiased << 10) + roundShift(fraction, 13));
}

/** Shifts right rounding to nearest, ties to even; a carry out of the fraction raises the exponent, as it should. */
function roundShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}

export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The upper 16 bits of the f32 nearest to `value`, rounded to nearest even. */
export function toBfloat(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  if ((bits & 0x7f800000) === 0x7f800000 && (bits & 0x7fffff) !== 0) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBfloat(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

const half = { encode: toHalf, decode: fromHalf };
const bfloat = { encode: toBfloat, decode: fromBfloat };
/** The codec of a dtype that is stored as 16-bit words; undefined for the others. */
export const codecOf = (dtype: DType): typeof half | undefined => (dtype === "f16" ? half : dtype === "bf16" ? bfloat : undefined);

/** Elements of `values` as the bytes a buffer of `dtype` holds. Rounds to nearest; integers must be in range. */
export function encode(values: ArrayLike<number>, dtype: DType): Uint8Array {
  const info = dtypes[dtype];
  const bytes = new Uint8Array(values.length * info.bytes);
  const words = new info.storage(bytes.buffer, 0, values.length);
  const codec = codecOf(dtype);
  if (codec) for (let i = 0; i < values.length; i++) words[i] = codec.encode(values[i]!);
  else if (dtype === "bool") for (let i = 0; i < values.length; i++) words[i] = values[i] ? 1 : 0;
  else words.set(values as never);
  return bytes;
}

/** The bytes of a buffer as the host array that a reader gets. */
export function decode(bytes: Uint8Array, dtype: DType): HostArray {
  const info = dtypes[dtype];
  const length = bytes.byteLength / info.bytes;
  const aligned = bytes.byteOffset % info.bytes === 0 ? bytes : bytes.slice();
  const words = new info.storage(aligned.buffer, aligned.byteOffset, length);
  const codec = codecOf(dtype);
  if (!codec) return words as HostArray;
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) out[i] = codec.decode(words[i]!);
  return out;
}
