import type { DType } from "@x/tensor";

/** How a source sees a buffer: elements of a dtype, one or four at a time. "words" are the raw 32-bit words behind any dtype. */
export interface Elements {
  readonly dtype: Exclude<DType, "f64"> | "words";
  readonly width: 1 | 4;
}

/** The type that a storage buffer is declared as an array of. */
export interface WordType {
  readonly base: "f32" | "i32" | "u32";
  readonly lanes: 1 | 2 | 4;
}

export const typeName = ({ base, lanes }: WordType): string => (lanes === 1 ? base : `vec${lanes}<${base}>`);

/** What one access fetches. Bytes and halves come in whole words, as WGSL has no narrower storage everywhere. */
export function wordTypeOf({ dtype, width }: Elements): WordType {
  switch (dtype) {
    case "f32":
    case "i32":
    case "u32":
      return { base: dtype, lanes: width };
    case "words":
      return { base: "u32", lanes: width };
    case "f16":
    case "bf16":
      return { base: "u32", lanes: width === 4 ? 2 : 1 };
    case "u8":
    case "bool":
      return { base: "u32", lanes: 1 };
  }
}

/** The type an element has in a source: what it is computed as. bool is u32, 0 or 1. */
export function registerType({ dtype, width }: Elements): string {
  const base = dtype === "i32" ? "i32" : dtype === "f32" || dtype === "f16" || dtype === "bf16" ? "f32" : "u32";
  return width === 1 ? base : `vec4<${base}>`;
}

/** Bytes of one word type. */
export const bytesOfWord = ({ lanes }: WordType): number => 4 * lanes;

/** The body of `NAME_at(i)` in terms of `NAME_raw(word)`, and of `NAME_put(i, v)` in terms of `NAME_set(word, value)`. */
export interface Codec {
  read(name: string): string;
  /** Absent where single elements share a word with their neighbours: they are written four at a time. */
  write?(name: string): string;
}

const direct: Codec = { read: (name) => `return ${name}_raw(i);`, write: (name) => `${name}_set(i, v);` };

function halves(decode: string, encode: string, width: 1 | 4): Codec {
  if (width === 1) return { read: (name) => `return ${decode}(${name}_raw(i >> 1u) >> ((i & 1u) << 4u));` };
  return {
    read: (name) =>
      `let w = ${name}_raw(i); return vec4<f32>(${decode}(w.x), ${decode}(w.x >> 16u), ${decode}(w.y), ${decode}(w.y >> 16u));`,
    write: (name) => `${name}_set(i, vec2<u32>(${encode}(v.x) | (${encode}(v.y) << 16u), ${encode}(v.z) | (${encode}(v.w) << 16u)));`,
  };
}

const bytes = (width: 1 | 4): Codec =>
  width === 1
    ? { read: (name) => `return (${name}_raw(i >> 2u) >> ((i & 3u) << 3u)) & 255u;` }
    : {
        read: (name) => `let w = ${name}_raw(i); return (vec4<u32>(w) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u);`,
        write: (name) => `let b = (v & vec4<u32>(255u)) << vec4<u32>(0u, 8u, 16u, 24u); ${name}_set(i, b.x | b.y | b.z | b.w);`,
      };

export function codecOf({ dtype, width }: Elements): Codec {
  switch (dtype) {
    case "f16":
      return halves("half_decode", "half_encode", width);
    case "bf16":
      return halves("bfloat_decode", "bfloat_encode", width);
    case "u8":
    case "bool":
      return bytes(width);
    default:
      return direct;
  }
}

/**
 * Sixteen-bit floats by integer arithmetic: the conversions and packing built-ins of WGSL may flush subnormals and leave open how they round. Both round to nearest even; half
 * precision overflows to infinity. `native`: the source enables f16, on an adapter whose conversion is known to keep subnormals; reading needs no more.
 */
export const narrowFloats = (dtype: "f16" | "bf16", native: boolean): string =>
  dtype === "bf16" ? bfloats : `${native ? nativeDecode : halfDecode}${halfEncode}`;

const nativeDecode = `
fn half_decode(word: u32) -> f32 { return f32(bitcast<vec2<f16>>(word).x); }`;
const halfDecode = `
fn half_decode(word: u32) -> f32 {
  let h = word & 0xffffu;
  let sign = (h & 0x8000u) << 16u;
  let magnitude = h & 0x7fffu;
  if (magnitude >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u)); }
  if (magnitude < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8) | sign); }
  return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u));
}`;
const halfEncode = `
fn half_encode(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x33000000u) { return sign; }
  if (magnitude < 0x38800000u) {
    let shift = 126u - (magnitude >> 23u);
    let fraction = (magnitude & 0x7fffffu) | 0x800000u;
    let rounded = (fraction + (1u << (shift - 1u)) - 1u + ((fraction >> shift) & 1u)) >> shift;
    return sign | rounded;
  }
  return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
}
`;
const bfloats = `
fn bfloat_decode(word: u32) -> f32 { return bitcast<f32>(word << 16u); }
fn bfloat_encode(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}
`;
