import { type DType, decode, dtypes, encode, type HostArray, type Program } from "@x/tensor";
import { collapse, compileProgram, packArguments } from "../src/emit/index.ts";

export interface LeafData {
  readonly values: ArrayLike<number>;
  /** In elements, per dimension of the shape; none for a key. */
  readonly strides?: readonly number[];
}

export interface RunOptions {
  readonly shared?: boolean;
  /** Where [0, size) is cut. */
  readonly cuts?: readonly number[];
  /** Output 0 is stored over leaf 0. */
  readonly inPlace?: boolean;
}

const pages = 64;
const memories = [false, true].map((shared) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared }));

/** Compiles and runs `program` over `shape`. Leaves and outputs stand at odd addresses, between bytes that must survive. */
export function run(program: Program, shape: readonly number[], leaves: readonly LeafData[], options: RunOptions = {}): HostArray[] {
  const { shared = false, cuts = [], inPlace = false } = options;
  const size = shape.reduce((a, b) => a * b, 1);
  const iteration = collapse(
    shape,
    leaves.map(({ strides }) => strides),
  );
  const { bytes } = compileProgram(program, { access: iteration.access, rank: iteration.extents.length, shared });
  const memory = memories[shared ? 1 : 0]!;
  const heap = new Uint8Array(memory.buffer);
  let top = 1024;
  const place = (content: Uint8Array): number => {
    const address = top;
    heap.set(content, address);
    heap.fill(0xa5, address + content.length, address + content.length + 7);
    top += content.length + 7;
    return address;
  };
  const inputs = leaves.map(({ values }, leaf) => place(encode(values, program.leaves[leaf]!)));
  const lengths = program.outputs.map(({ dtype }) => size * dtypes[dtype].bytes);
  const outputs = lengths.map((length, output) => (inPlace && output === 0 ? inputs[0]! : place(new Uint8Array(length))));
  const words = packArguments(program, iteration, { leaves: inputs, outputs });
  new Uint8Array(memory.buffer, 0, words.byteLength).set(new Uint8Array(words.buffer));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const call = instance.exports.run as (begin: number, end: number, args: number) => void;
  const marks = [0, ...cuts, size];
  for (let i = 1; i < marks.length; i++) call(marks[i - 1]!, marks[i]!, 0);
  return outputs.map((address, output) => {
    const length = lengths[output]!;
    if (heap.subarray(address + length, address + length + 7).some((byte) => byte !== 0xa5)) throw new Error(`output ${output} overran`);
    return decode(heap.slice(address, address + length), program.outputs[output]!.dtype as DType);
  });
}

const words = new Int32Array(1);
const floats = new Float32Array(words.buffer);
const ordinal = (value: number): number => {
  floats[0] = value;
  return words[0]! < 0 ? -(words[0]! & 0x7fffffff) : words[0]!;
};

/** How many f32 lie between two; 0 for two NaN, infinite for one. */
export function ulps(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : Number.POSITIVE_INFINITY;
  return Math.abs(ordinal(a) - ordinal(b));
}
