import {
  type Device,
  type DType,
  decode,
  encode,
  type Fill,
  type HostTensor,
  isFloat,
  type Sample,
  type SampleInput,
  type Shape,
  sizeOf,
  type Tensor,
  tensor,
} from "@x/tensor";
import type { Stream } from "../stream.ts";

/** A sample's input with its elements, rounded to its dtype. */
export interface Drawn {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array;
  readonly layout: Layout;
}
export type Layout = NonNullable<SampleInput["layout"]>;
export type DrawnInputs = Readonly<Record<string, Drawn | readonly Drawn[] | number | undefined>>;
type Given = Readonly<Record<string, Tensor | readonly Tensor[] | number | undefined>>;

/** Fills the inputs of a sample from a stream. */
export function drawInputs({ inputs }: Sample, stream: Stream): DrawnInputs {
  const entries = Object.entries(inputs).map(([name, input]) => {
    if (input === undefined || typeof input === "number") return [name, input];
    return [name, isList(input) ? input.map((item) => draw(item, stream)) : draw(input, stream)];
  });
  return Object.fromEntries(entries);
}

function draw({ shape, dtype = "f32", fill, layout = "contiguous" }: SampleInput, stream: Stream): Drawn {
  const size = sizeOf(shape);
  // Repeated along the first axis: one row, then copies of it.
  const row = layout === "expanded" && shape.length > 0 && size > 0 ? size / shape[0]! : size;
  const values = numbers(fill ?? defaultFill(dtype), row, stream);
  const data = Float64Array.from(
    decode(
      encode(
        Float64Array.from({ length: size }, (_, i) => values[i % row]!),
        dtype,
      ),
      dtype,
    ),
  );
  return { shape, dtype, data, layout };
}

function defaultFill(dtype: DType): Fill {
  if (isFloat(dtype)) return { kind: "normal" };
  return { kind: "integers", low: dtype === "i32" ? -50 : 0, high: dtype === "bool" ? 2 : 51 };
}

function numbers(fill: Fill, count: number, stream: Stream): Float64Array {
  switch (fill.kind) {
    case "normal":
      return stream.normal(count).map((x) => (fill.mean ?? 0) + (fill.deviation ?? 1) * x);
    case "uniform":
      return stream.uniform(count).map((x) => fill.low + (fill.high - fill.low) * x);
    case "integers":
      return stream.integers(count, fill.low, fill.high);
    case "values":
      return Float64Array.from({ length: count }, (_, i) => fill.values[i % fill.values.length]!);
  }
}

/** How inputs are handed over: as drawn, contiguous in f64 for the reference, or each as a view with strides. */
export type Handover = "drawn" | "f64" | "contiguous" | "strided";

/** The inputs as tensors of a device. */
export function placeInputs(inputs: DrawnInputs, device: Device, handover: Handover): Given {
  let count = 0;
  const place = (drawn: Drawn): Tensor => {
    if (handover === "f64") return contiguous({ ...drawn, dtype: isFloat(drawn.dtype) ? "f64" : drawn.dtype }, device);
    if (handover === "contiguous") return contiguous(drawn, device);
    const layout = handover === "strided" ? (["transposed", "sliced"] as const)[count++ % 2]! : drawn.layout;
    return view(drawn, layout, device);
  };
  return mapDrawn(inputs, place) as Given;
}

/** The inputs as arguments of a compiled step; what is absent is left out. */
export function hostInputs(inputs: DrawnInputs): Record<string, HostTensor | readonly HostTensor[] | number> {
  const all = mapDrawn(inputs, ({ data, shape, dtype }): HostTensor => ({ data, shape, dtype }));
  return Object.fromEntries(Object.entries(all).filter(([, input]) => input !== undefined)) as Record<string, HostTensor>;
}

export function mapDrawn<R>(inputs: DrawnInputs, map: (drawn: Drawn) => R): Record<string, R | readonly R[] | number | undefined> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [
      name,
      input === undefined || typeof input === "number" ? input : isList(input) ? input.map(map) : map(input as Drawn),
    ]),
  );
}

const contiguous = ({ data, shape, dtype }: Omit<Drawn, "layout">, device: Device): Tensor => tensor(data, { shape, dtype, device });

/** The elements as a view of something larger or otherwise ordered, with numbers between them that would show. */
function view(drawn: Drawn, layout: Layout, device: Device): Tensor {
  const { shape, dtype, data } = drawn;
  const rank = shape.length;
  if (layout === "contiguous" || data.length === 0) return contiguous(drawn, device);
  if (layout === "expanded" && rank > 0) {
    const one = { ...drawn, shape: [1, ...shape.slice(1)], data: data.slice(0, data.length / shape[0]!) };
    return contiguous(one, device).expand(shape);
  }
  if (layout === "transposed" && rank > 1) {
    const [m, n] = [shape[rank - 2]!, shape[rank - 1]!];
    const moved = data.map((_, i) => {
      const [matrix, column, row] = [Math.floor(i / (m * n)), Math.floor(i / m) % n, i % m];
      return data[matrix * m * n + row * n + column]!;
    });
    return contiguous({ shape: [...shape.slice(0, -2), n, m], dtype, data: moved }, device).transpose(-1, -2);
  }
  // Every second element of the last axis, from the second on; a scalar is one of two.
  const between = isFloat(dtype) ? Number.NaN : 1;
  const wide = Float64Array.from({ length: data.length * 2 }, (_, i) => (i % 2 === 1 ? data[(i - 1) / 2]! : between));
  const last = rank === 0 ? 2 : shape[rank - 1]! * 2;
  const base = contiguous({ shape: [...shape.slice(0, -1), last], dtype, data: wide }, device);
  const seen = base.slice(-1, 1, last, 2);
  return rank === 0 ? seen.reshape([]) : seen;
}

export function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
