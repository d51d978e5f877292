/** Writes ONNX models (protobuf wire format) for the onnxruntime peers. Only what the benchmark graphs need. */

/** One operator: its inputs and outputs by name; integers become INT, `{ float }` FLOAT, arrays INTS, strings STRING. */
export interface OnnxNode {
  op: string;
  /** Where it does not belong to ONNX itself. */
  domain?: "com.microsoft";
  inputs: string[];
  outputs: string[];
  attributes?: Record<string, number | number[] | string | { float: number }>;
}

export interface OnnxGraph {
  nodes: OnnxNode[];
  inputs: Record<string, number[]>;
  outputs: Record<string, number[]>;
  constants?: Record<string, { shape: number[]; data: Float32Array | BigInt64Array }>;
}

type Part = Uint8Array;

const text = new TextEncoder();

function varint(value: number): Part {
  const out: number[] = [];
  let rest = value;
  while (rest > 127) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.of(...out, rest);
}

const integer = (field: number, value: number): Part[] => [varint(field * 8), varint(value)];
const size = (parts: Part[]) => parts.reduce((sum, part) => sum + part.byteLength, 0);
const message = (field: number, body: Part[]): Part[] => [varint(field * 8 + 2), varint(size(body)), ...body];
const string = (field: number, value: string): Part[] => message(field, [text.encode(value)]);
const float = (field: number, value: number): Part[] => [varint(field * 8 + 5), new Uint8Array(new Float32Array([value]).buffer)];

function attribute(name: string, value: number | number[] | string | { float: number }): Part[] {
  const typed =
    typeof value === "number"
      ? [...integer(3, value), ...integer(20, 2)]
      : typeof value === "string"
        ? [...string(4, value), ...integer(20, 3)]
        : Array.isArray(value)
          ? [...value.flatMap((each) => integer(8, each)), ...integer(20, 7)]
          : [...float(2, value.float), ...integer(20, 1)];
  return message(5, [...string(1, name), ...typed]);
}

function node({ op, domain, inputs, outputs, attributes = {} }: OnnxNode): Part[] {
  return message(1, [
    ...inputs.flatMap((name) => string(1, name)),
    ...outputs.flatMap((name) => string(2, name)),
    ...string(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => attribute(name, value)),
    ...(domain ? string(7, domain) : []),
  ]);
}

function constant(name: string, shape: number[], data: Float32Array | BigInt64Array): Part[] {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = data instanceof Float32Array ? 1 : 7;
  return message(5, [...shape.flatMap((axis) => integer(1, axis)), ...integer(2, type), ...string(8, name), ...message(9, [raw])]);
}

function value(field: number, name: string, shape: number[]): Part[] {
  const axes = message(
    2,
    shape.flatMap((axis) => message(1, integer(1, axis))),
  );
  return message(field, [...string(1, name), ...message(2, message(1, [...integer(1, 1), ...axes]))]);
}

const operatorSet = (domain: string, version: number) => message(8, [...string(1, domain), ...integer(2, version)]);

/** The bytes of a model of one graph over float32 tensors, operator set 20, and 1 of Microsoft's own. */
export function onnxModel({ nodes, inputs, outputs, constants = {} }: OnnxGraph): Uint8Array {
  const graph = [
    ...nodes.flatMap(node),
    ...string(2, "bench"),
    ...Object.entries(constants).flatMap(([name, { shape, data }]) => constant(name, shape, data)),
    ...Object.entries(inputs).flatMap(([name, shape]) => value(11, name, shape)),
    ...Object.entries(outputs).flatMap(([name, shape]) => value(12, name, shape)),
  ];
  const parts = [...integer(1, 9), ...message(7, graph), ...operatorSet("", 20), ...operatorSet("com.microsoft", 1)];
  const out = new Uint8Array(size(parts));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}
