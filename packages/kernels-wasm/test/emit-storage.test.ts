import { type DType, decode, encode, type Program } from "@x/tensor";
import { describe, expect, it } from "vitest";
import { assemble, signed, unsigned } from "../src/emit/assembler.ts";
import { cacheKey, collapse, compileProgram, unsupported } from "../src/emit/index.ts";
import { run } from "./emit-run.ts";

const copy = (from: DType, to: DType): Program => ({
  leaves: [from],
  instructions: [{ op: "leaf", leaf: 0, type: "f32" }],
  outputs: [{ register: 0, dtype: to }],
});

describe("16-bit floats", () => {
  for (const dtype of ["f16", "bf16"] as const) {
    const every = [...decode(new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer), dtype)];
    it(`${dtype} loads all 65536 words exactly`, () => {
      expect([...run(copy(dtype, "f32"), [65536], [{ values: every, strides: [1] }])[0]!]).toEqual(every);
    });
    it(`${dtype} stores round to nearest even, as the host's encoder does`, () => {
      const steps = every.filter((value) => Number.isFinite(value));
      const between = steps
        .flatMap((value) => [value * (1 + 2 ** -11), value * (1 + 2 ** -9), value * 1.0003, value + 2 ** -25])
        .map(Math.fround);
      const values = [...between, 65519.996, 65520, -65520, 1e30, -Infinity, Infinity, Number.NaN, 2 ** -25, 1.5 * 2 ** -25, 2 ** -149];
      const expected = decode(encode(values, dtype), dtype);
      expect(run(copy("f32", dtype), [values.length], [{ values, strides: [1] }])[0]).toEqual(expected);
    });
  }
});

describe("collapse", () => {
  it("merges what all leaves step over as one, and drops ones", () => {
    expect(collapse([2, 1, 3, 4], [[12, 99, 4, 1]])).toEqual({ extents: [24], strides: [[1]], access: ["contiguous"] });
    expect(
      collapse(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 0, 1],
        ],
      ),
    ).toEqual({
      extents: [6, 4],
      strides: [
        [4, 1],
        [0, 1],
      ],
      access: ["contiguous", "contiguous"],
    });
    expect(
      collapse(
        [2, 3],
        [
          [1, 2],
          [1, 0],
        ],
      ).access,
    ).toEqual(["strided", "broadcast"]);
    expect(collapse([], [[], undefined])).toEqual({ extents: [1], strides: [[0], [0]], access: ["broadcast", "key"] });
    expect(collapse([5, 4], [[-4, 1]]).extents).toEqual([5, 4]);
  });
});

describe("what is refused, and what names a module", () => {
  const options = { access: ["contiguous"], rank: 1, shared: false } as const;
  it("f64, mixed types and unknown meanings, each with its reason", () => {
    expect(unsupported({ leaves: ["f64"], instructions: [{ op: "leaf", leaf: 0, type: "f64" }], outputs: [] })).toMatch(/reference device/);
    expect(unsupported(copy("f32", "i32"))).toMatch(/output 0: i32 stores a register of i32, not f32; cast it/);
    expect(unsupported(copy("i32", "f32"))).toMatch(/a leaf of i32 is read as i32/);
    const exp: Program = {
      leaves: ["i32"],
      instructions: [
        { op: "leaf", leaf: 0, type: "i32" },
        { op: "exp", args: [0], type: "i32" },
      ],
      outputs: [],
    };
    expect(unsupported(exp)).toMatch(/instruction 1, exp: no meaning for i32/);
    expect(unsupported(copy("f16", "bf16"))).toBeUndefined();
    expect(() => compileProgram(copy("f32", "f32"), { ...options, rank: 7 })).toThrow(/rank must be 1 to 6/);
    expect(() => compileProgram(copy("f32", "f32"), { ...options, access: ["key"] })).toThrow(/a key is read by random alone/);
  });
  it("keys tell literals apart that JSON does not", () => {
    const literal = (value: number): Program => ({ leaves: [], instructions: [{ op: "literal", value, type: "f32" }], outputs: [] });
    const keys = [0, -0, Number.NaN, Infinity, -Infinity].map((value) => cacheKey(literal(value), { ...options, access: [] }));
    expect(new Set(keys).size).toBe(keys.length);
  });
  it("modules have no data, no start function and one import", () => {
    const module = new WebAssembly.Module(compileProgram(copy("f32", "f32"), options).bytes);
    expect(WebAssembly.Module.imports(module)).toEqual([{ module: "env", name: "memory", kind: "memory" }]);
    expect(WebAssembly.Module.exports(module)).toEqual([{ name: "run", kind: "function" }]);
  });
});

describe("LEB128", () => {
  it("matches the format's examples", () => {
    expect(unsigned(624485)).toEqual([0xe5, 0x8e, 0x26]);
    expect(unsigned(0xffffffff)).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
    expect(signed(-123456)).toEqual([0xc0, 0xbb, 0x78]);
    expect([signed(63), signed(64), signed(-64), signed(-65)]).toEqual([[0x3f], [0xc0, 0x00], [0x40], [0xbf, 0x7f]]);
    expect(signed(-0x80000000)).toEqual([0x80, 0x80, 0x80, 0x80, 0x78]);
    expect(WebAssembly.validate(assemble([{ parameters: [], results: [], locals: [], body: [] }], true))).toBe(true);
  });
});
