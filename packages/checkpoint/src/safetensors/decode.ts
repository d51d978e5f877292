import { type DType, decode, dtypes, type HostArray } from "@x/tensor";
import { CheckpointError } from "../errors.ts";
import { fileDTypes } from "./dtypes.ts";

export interface ConvertOptions {
  /** Allows F64 to be rounded to a narrower float. Default false. */
  readonly narrow?: boolean;
}

type Convert = (bytes: Uint8Array, out: HostArray, at: number, who: string) => void;

/**
 * Why values of a file's `dtype` cannot become `to`; undefined if they can. Floats become any float (F64 only f64, unless narrowing is
 * asked), integers any integer (with a check of every value's range), BOOL only bool.
 */
export function refusal(dtype: string, to: DType, { narrow = false }: ConvertOptions = {}): string | undefined {
  const from = fileDTypes.get(dtype)?.native;
  if (from === undefined) return `${dtype} values cannot be read (their bytes can)`;
  if (dtypes[from].kind !== dtypes[to].kind) return `${dtype} holds ${words[dtypes[from].kind]}, ${to} ${words[dtypes[to].kind]}`;
  if (dtype === "F64" && to !== "f64" && !narrow) return `F64 would be rounded to ${to}: allow it with { narrow: true }`;
  return undefined;
}

const words = { float: "floats", integer: "integers", bool: "truth values" } as const;

/** Whether conversion depends on the values, and so can fail on well-formed bytes. */
export function canOverflow(dtype: string, to: DType): boolean {
  if (dtype === "BOOL") return true;
  const range = integerRanges[to];
  const file = fileRanges[dtype];
  return range !== undefined && file !== undefined && (file[0] < range[0] || file[1] > range[1]);
}

/** An array for `length` values of `dtype`, as a reader gets them: Float32Array for f16 and bf16, Uint8Array for bool. */
export function allocate(dtype: DType, length: number, who: string): HostArray {
  const make = dtype === "f16" || dtype === "bf16" ? Float32Array : (dtypes[dtype].storage as typeof Float32Array);
  try {
    return new make(length);
  } catch (cause) {
    throw new CheckpointError(`${who}: ${length} values of ${dtype} do not fit in memory.`, { cause });
  }
}

/** Decodes little-endian `bytes` of a file's `dtype` into `out`, from element `at` on; see `refusal` for what is allowed. */
export function decodeInto(bytes: Uint8Array, dtype: string, out: HostArray, at: number, to: DType, who: string): void {
  const convert = to === "bool" || dtypes[to].kind === "float" ? converters[dtype] : integerConverter(dtype, to);
  if (convert === undefined) throw new CheckpointError(`${who}: ${refusal(dtype, to) ?? `${dtype} cannot become ${to}`}.`);
  convert(bytes, out, at, who);
}

/** A view of the elements, over a copy where the bytes are not aligned to them. */
function words16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}
const viewOf = <T>(
  make: { new (buffer: ArrayBufferLike, offset: number, length: number): T; BYTES_PER_ELEMENT: number },
  bytes: Uint8Array,
): T => {
  const size = make.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new make(aligned.buffer, aligned.byteOffset, aligned.length / size);
};

/** Values of an 8- or 16-bit float, looked up by their bits; the table is made at first use. */
function byTable(bits: 8 | 16, decodeAll: (words: Uint16Array) => Float32Array): Convert {
  let table: Float32Array | undefined;
  return (bytes, out, at) => {
    table ??= decodeAll(Uint16Array.from({ length: 2 ** bits }, (_, word) => word));
    const source = bits === 8 ? bytes : words16(bytes);
    for (let i = 0; i < source.length; i++) out[at + i] = table[source[i]!]!;
  };
}

const halves = (words: Uint16Array): Float32Array => decode(new Uint8Array(words.buffer), "f16") as Float32Array;

/** OCP E4M3 ("fn"): bias 7, no infinities, NaN where all bits but the sign are set. https://arxiv.org/abs/2209.05433 */
export function fromE4M3(word: number): number {
  const sign = word & 0x80 ? -1 : 1;
  const exponent = (word >> 3) & 15;
  const fraction = word & 7;
  if ((word & 0x7f) === 0x7f) return Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -9 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
}

const bfloats: Convert = (bytes, out, at) => {
  const source = words16(bytes);
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  // The bits of a bf16 are the upper half of those of a f32, NaN included.
  const target = out instanceof Float32Array ? new Uint32Array(out.buffer, out.byteOffset, out.length) : undefined;
  for (let i = 0; i < source.length; i++) {
    if (target) target[at + i] = source[i]! << 16;
    else {
      bits[0] = source[i]! << 16;
      out[at + i] = value[0]!;
    }
  }
};

const booleans: Convert = (bytes, out, at, who) => {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0) throw new CheckpointError(`${who}: element ${at + wrong} of a BOOL must be 0 or 1, received ${bytes[wrong]}.`);
  out.set(bytes, at);
};

const converters: Readonly<Record<string, Convert>> = {
  F64: (bytes, out, at) => out.set(viewOf(Float64Array, bytes), at),
  F32: (bytes, out, at) => out.set(viewOf(Float32Array, bytes), at),
  F16: byTable(16, (words) => halves(words)),
  BF16: bfloats,
  F8_E4M3: byTable(8, (words) => Float32Array.from(words, fromE4M3)),
  // E5M2 is the upper byte of a half.
  F8_E5M2: byTable(8, (words) => halves(words.map((word) => word << 8))),
  BOOL: booleans,
};

const integerRanges: Partial<Readonly<Record<DType, readonly [number, number]>>> = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  u8: [0, 255],
};
const fileRanges: Readonly<Record<string, readonly [number, number]>> = {
  I64: [-(2 ** 63), 2 ** 63],
  I32: [-(2 ** 31), 2 ** 31 - 1],
  I16: [-(2 ** 15), 2 ** 15 - 1],
  I8: [-128, 127],
  U64: [0, 2 ** 64],
  U32: [0, 2 ** 32 - 1],
  U16: [0, 2 ** 16 - 1],
  U8: [0, 255],
};
const integerViews: Readonly<Record<string, (bytes: Uint8Array) => ArrayLike<number> | ArrayLike<bigint>>> = {
  I64: (bytes) => viewOf(BigInt64Array, bytes),
  U64: (bytes) => viewOf(BigUint64Array, bytes),
  I32: (bytes) => viewOf(Int32Array, bytes),
  U32: (bytes) => viewOf(Uint32Array, bytes),
  I16: (bytes) => viewOf(Int16Array, bytes),
  U16: (bytes) => viewOf(Uint16Array, bytes),
  I8: (bytes) => viewOf(Int8Array, bytes),
  U8: (bytes) => bytes,
};

function integerConverter(dtype: string, to: DType): Convert | undefined {
  const view = integerViews[dtype];
  const range = integerRanges[to];
  if (view === undefined || range === undefined) return undefined;
  const [least, most] = range;
  return (bytes, out, at, who) => {
    const source = view(bytes);
    for (let i = 0; i < source.length; i++) {
      // Compared before it becomes a number: beyond 2^53 that would round.
      const value = source[i]!;
      if (value < least || value > most)
        throw new CheckpointError(`${who}: element ${at + i} is ${value}, outside of ${to} (${least} to ${most}).`);
      out[at + i] = Number(value);
    }
  };
}
