import { decode, encode, ShapeError } from "@x/tensor";
import { type Quantization, quantizedShapes } from "./layout.ts";

/** A weight [outputs, inputs] as `quantizedLinear` takes it, on the host, row-major. */
export interface QuantizedWeight {
  /** Codes, [outputs, groups * group * bits / 8]: those of input i in byte i, or in the low (even i) or high half of byte i / 2. */
  readonly weight: Uint8Array;
  /** [outputs, groups]. */
  readonly scales: Float32Array;
  /** The code of 0, [outputs, groups]. */
  readonly zeros: Uint8Array;
}

interface Extents {
  readonly outputs: number;
  readonly inputs: number;
}

/**
 * The nearest codes of a weight [outputs, inputs], row-major: in each group from its lowest to its highest number, 0 included, so that 0 stays 0 and no number is off by more than half a step. With
 * `scales: "f16"` steps are numbers of f16, rounded up.
 */
export function quantize(
  values: ArrayLike<number>,
  { outputs, inputs }: Extents,
  { scales: dtype = "f32", ...how }: Quantization & { readonly scales?: "f16" | "f32" },
): QuantizedWeight {
  const [groups, rowBytes] = extentsOf("quantize", { outputs, inputs }, how);
  if (values.length !== outputs * inputs)
    throw new ShapeError(`quantize: [${outputs}, ${inputs}] holds ${outputs * inputs} numbers, got ${values.length}.`);
  const { bits, group } = how;
  const top = 2 ** bits - 1;
  const weight = new Uint8Array(outputs * rowBytes);
  const scales = new Float32Array(outputs * groups);
  const zeros = new Uint8Array(outputs * groups);
  for (let at = 0; at < scales.length; at++) {
    const [row, first] = [Math.floor(at / groups), (at % groups) * group];
    const [begin, end] = [row * inputs + first, row * inputs + Math.min(inputs, first + group)];
    let [low, high] = [0, 0];
    for (let i = begin; i < end; i++) [low, high] = [Math.min(low, values[i]!), Math.max(high, values[i]!)];
    const scale = stepOf(low, high, top, dtype);
    const zero = Math.round(-low / scale);
    scales[at] = scale;
    zeros[at] = zero;
    for (let i = 0; i < group; i++) {
      // What fills up the last group stands for 0.
      const value = begin + i < end ? values[begin + i]! : 0;
      put(weight, row * rowBytes, first + i, Math.min(top, Math.max(0, Math.round(value / scale) + zero)), bits);
    }
  }
  return { weight, scales, zeros };
}

/** The weight [outputs, inputs] that codes stand for, row-major. */
export function dequantize({ weight, scales, zeros }: QuantizedWeight, { outputs, inputs }: Extents, how: Quantization): Float32Array {
  const [groups, rowBytes] = extentsOf("dequantize", { outputs, inputs }, how);
  if (weight.length !== outputs * rowBytes || scales.length !== outputs * groups || zeros.length !== scales.length)
    throw new ShapeError(
      `dequantize: [${outputs}, ${inputs}] is ${outputs * rowBytes} bytes and ${outputs * groups} scales and zeros, got ${weight.length}, ${scales.length} and ${zeros.length}.`,
    );
  return Float32Array.from({ length: outputs * inputs }, (_, i) => {
    const [row, column] = [Math.floor(i / inputs), i % inputs];
    const at = row * groups + Math.floor(column / how.group);
    return (codeAt(weight, row * rowBytes, column, how.bits) - zeros[at]!) * scales[at]!;
  });
}

function extentsOf(who: string, extents: Extents, how: Quantization): [groups: number, rowBytes: number] {
  const { scales, weight } = quantizedShapes(extents, how, who);
  return [scales[1]!, weight[1]!];
}

function stepOf(low: number, high: number, top: number, dtype: "f16" | "f32"): number {
  const exact = (high - low) / top;
  if (exact === 0) return 1;
  const round = (value: number) => decode(encode([value], dtype), dtype)[0]!;
  const near = round(exact);
  // A step too short would leave the ends out of reach; one unit of the last place is 2^-10 at most, or the least number there is.
  return near >= exact
    ? near
    : round(Math.max(near * (1 + (dtype === "f16" ? 2 ** -10 : 2 ** -23)), near + (dtype === "f16" ? 2 ** -24 : 2 ** -149)));
}

function put(bytes: Uint8Array, row: number, column: number, code: number, bits: 4 | 8): void {
  if (bits === 8) bytes[row + column] = code;
  else bytes[row + (column >> 1)]! |= code << (4 * (column & 1));
}

const codeAt = (bytes: Uint8Array, row: number, column: number, bits: 4 | 8): number =>
  bits === 8 ? bytes[row + column]! : (bytes[row + (column >> 1)]! >> (4 * (column & 1))) & 15;
