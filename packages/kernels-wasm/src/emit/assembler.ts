/** The binary format of WebAssembly, as far as emitted programs need it: https://webassembly.github.io/spec/core/binary/ */
export type ValueType = "i32" | "f32" | "f64" | "i64" | "v128";

const typeBytes: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** LEB128 of an unsigned integer below 2^32. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value >>> 0; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** LEB128 of a signed 32-bit integer. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0; ; rest >>= 7) {
    const last = (rest >> 6 === 0 || rest >> 6 === -1) && (rest & 0x40) === ((rest >> 31) & 0x40);
    if (last) return [...bytes, rest & 0x7f];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

export interface WasmFunction {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly locals: readonly ValueType[];
  /** Instructions, without the final `end`. */
  readonly body: readonly number[];
}

const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => vector([...new TextEncoder().encode(value)].map((byte) => [byte]));
const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
const types = (list: readonly ValueType[]): number[] => vector(list.map((type) => [typeBytes[type]]));

function functionBody({ locals, body }: WasmFunction): number[] {
  const runs: [count: number, type: ValueType][] = [];
  for (const type of locals) {
    const last = runs.at(-1);
    if (last?.[1] === type) last[0]++;
    else runs.push([1, type]);
  }
  const declared = vector(runs.map(([count, type]) => [...unsigned(count), typeBytes[type]]));
  return [...unsigned(declared.length + body.length + 1), ...declared, ...body, 0x0b];
}

/**
 * A module of `functions` that imports the memory `env.memory` and nothing else, and exports the first function as `run`.
 * It accepts a memory of any size: a shared one if `shared`, else an unshared one.
 */
export function assemble(functions: readonly WasmFunction[], shared: boolean): Uint8Array<ArrayBuffer> {
  const limits = shared ? [0x03, 0, ...unsigned(65536)] : [0x00, 0];
  const bytes = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0].concat(
    section(1, vector(functions.map((f) => [0x60, ...types(f.parameters), ...types(f.results)]))),
    section(2, vector([[...text("env"), ...text("memory"), 0x02, ...limits]])),
    section(3, vector(functions.map((_, index) => unsigned(index)))),
    section(7, vector([[...text("run"), 0x00, 0]])),
    section(10, vector(functions.map(functionBody))),
  );
  return Uint8Array.from(bytes);
}
