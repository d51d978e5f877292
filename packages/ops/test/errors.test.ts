import { reference, type Shape, setDefaultDevice, type Tensor, TensorError, tensor, zeros } from "@x/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import * as ops from "../src/index.ts";

beforeAll(() => setDefaultDevice(reference()));

const f32 = (...shape: number[]): Tensor => zeros(shape);
const i32 = (...shape: number[]): Tensor => zeros(shape, { dtype: "i32" });
const f16 = (...shape: number[]): Tensor => zeros(shape, { dtype: "f16" });
const u32 = (...shape: number[]): Tensor => zeros(shape, { dtype: "u32" });
const u8 = (...shape: number[]): Tensor => zeros(shape, { dtype: "u8" });
const four = { bits: 4, group: 32 } as const;
const coded = (given: object = {}) => ({ x: f32(2, 40), weight: u8(5, 32), scales: f32(5, 2), zeros: u8(5, 2), ...given });
const bool = (...shape: number[]): Tensor => zeros(shape, { dtype: "bool" });
const scale = { scale: 1 };
const qkv = (q: Shape, k: Shape, v: Shape = k) => ({ q: zeros(q), k: zeros(k), v: zeros(v) });
const heads = () => qkv([1, 2, 3, 4], [1, 2, 5, 4]);
const backward = () => ({ ...qkv([1, 2, 3, 4], [1, 2, 5, 4]), o: f32(1, 2, 3, 4), lse: f32(1, 2, 3), dO: f32(1, 2, 3, 4) });
const decode = () => ({ ...qkv([2, 2, 1, 4], [2, 2, 5, 4]), lengths: i32(2) });
const rope = () => ({ x: f32(2, 3, 5, 8), cos: f32(9, 4), sin: f32(9, 4), positions: i32(5) });
const update = () => ({ param: f32(3), grad: f32(3), m: f32(3), v: f32(3), lr: 0.1, step: 1 });
const lossBackward = () => ({ logits: f32(3, 5), targets: i32(3), logSumExp: f32(3), dLoss: f32(3) });

/** What is called, and words that its error must hold: the operation, the argument, what was expected, what came. */
const cases: readonly (readonly [string, () => unknown, ...string[]])[] = [
  ["softmax: axis", () => ops.softmax({ x: f32(2, 3) }, { axis: 2 }), "softmax", "axis", "-2 to 1", "got 2"],
  ["softmax: dtype", () => ops.softmax({ x: i32(2) }), "softmax", "x", "floating point", "i32"],
  ["softmaxBackward: dy", () => ops.softmaxBackward({ y: f32(2, 3), dy: f32(3, 2) }), "softmaxBackward", "dy", "[2, 3]", "[3, 2]"],
  [
    "logSoftmaxBackward: dtype of dy",
    () => ops.logSoftmaxBackward({ y: f32(2), dy: f16(2) }),
    "logSoftmaxBackward",
    "dy is f16",
    "y is f32",
  ],
  ["gelu: dtype", () => ops.gelu({ x: bool(2) }), "gelu", "x", "floating point", "bool"],
  ["swiglu: shapes", () => ops.swiglu({ gate: f32(2, 3), up: f32(3) }), "swiglu", "up", "[2, 3] like gate", "[3]"],
  ["swiglu: dtypes", () => ops.swiglu({ gate: f32(2), up: f16(2) }), "swiglu", "up is f16", "gate is f32", 'cast("f32")'],
  ["layerNorm: weight", () => ops.layerNorm({ x: f32(2, 8), weight: f32(4) }), "layerNorm", "weight", "[8]", "x [2, 8]", "got [4]"],
  ["layerNorm: dtype of bias", () => ops.layerNorm({ x: f32(2, 8), bias: f16(8) }), "layerNorm", "bias is f16", "x is f32"],
  ["layerNorm: a scalar", () => ops.layerNorm({ x: tensor(1) }), "layerNorm", "x", "at least one axis", "scalar"],
  [
    "layerNormBackward: statistics",
    () => ops.layerNormBackward({ x: f32(2, 3), mean: f32(3), inverse: f32(2), dy: f32(2, 3) }),
    "layerNormBackward",
    "mean",
    "[2]",
    "[3]",
  ],
  ["rmsNorm: weight", () => ops.rmsNorm({ x: f32(2, 8), weight: f32(8, 1) }), "rmsNorm", "weight", "[8]", "got [8, 1]"],
  [
    "rmsNormBackward: dtype of inverse",
    () => ops.rmsNormBackward({ x: f16(2, 3), inverse: f16(2), dy: f16(2, 3) }),
    "rmsNormBackward",
    "inverse",
    "f32",
    "f16",
  ],
  [
    "addLayerNorm: residual",
    () => ops.addLayerNorm({ x: f32(2, 3), residual: f32(2) }),
    "addLayerNorm",
    "residual",
    "[2, 3] like x",
    "got [2]",
  ],
  ["addRmsNorm: residual", () => ops.addRmsNorm({ x: f32(2, 3), residual: f16(2, 3) }), "addRmsNorm", "residual is f16", "x is f32"],
  [
    "quantizedLinear: weight",
    () => ops.quantizedLinear(coded({ weight: u8(5, 64) }), four),
    "quantizedLinear",
    "weight",
    "[outputs, 32]",
    "[2, 40]",
    "4 bits",
    "[5, 64]",
  ],
  [
    "quantizedLinear: dtype",
    () => ops.quantizedLinear(coded({ zeros: i32(5, 2) }), four),
    "quantizedLinear",
    "zeros",
    "u8",
    "i32",
    "quantize(",
  ],
  [
    "quantizedLinear: scales",
    () => ops.quantizedLinear(coded({ scales: f32(5, 1) }), four),
    "quantizedLinear",
    "scales",
    "[5, 2]",
    "[5, 1]",
  ],
  ["quantizedLinear: bits", () => ops.quantizedLinear(coded(), { bits: 3 as 4, group: 32 }), "quantizedLinear", "bits", "4 or 8", "got 3"],
  [
    "quantize: group",
    () => ops.quantize([1], { outputs: 1, inputs: 1 }, { bits: 8, group: 16 as 32 }),
    "quantize",
    "group",
    "32, 64 or 128",
    "got 16",
  ],
  [
    "quantize: numbers",
    () => ops.quantize([1], { outputs: 2, inputs: 3 }, { bits: 8, group: 32 }),
    "quantize",
    "[2, 3]",
    "6 numbers",
    "got 1",
  ],
  ["linear: weight", () => ops.linear({ x: f32(2, 3), weight: f32(3, 5) }), "linear", "weight", "[outputs, 3]", "[2, 3]", "got [3, 5]"],
  ["linear: bias", () => ops.linear({ x: f32(2, 3), weight: f32(5, 3), bias: f32(3) }), "linear", "bias", "[5]", "got [3]"],
  ["linear: dtype of bias", () => ops.linear({ x: f32(2, 3), weight: f32(5, 3), bias: f16(5) }), "linear", "bias is f16", "x is f32"],
  [
    "linear: residual",
    () => ops.linear({ x: f32(2, 3), weight: f32(5, 3), residual: f32(2, 3) }),
    "linear",
    "residual",
    "[2, 5]",
    "got [2, 3]",
  ],
  [
    "linear: activation",
    () => ops.linear({ x: f32(2, 3), weight: f32(5, 3) }, { activation: "tanh" as never }),
    "linear",
    "activation",
    "geluTanh",
    '"tanh"',
  ],
  ["embedding: table", () => ops.embedding({ table: f32(5), indices: i32(2) }), "embedding", "table", "[vocabSize, dim]", "[5]"],
  ["embedding: indices", () => ops.embedding({ table: f32(5, 2), indices: f32(2) }), "embedding", "indices", "i32", "f32"],
  ["embedding: empty table", () => ops.embedding({ table: f32(0, 2), indices: i32(2) }), "embedding", "table", "[0, 2]", "no rows"],
  [
    "crossEntropy: targets",
    () => ops.crossEntropy({ logits: f32(2, 3, 7), targets: i32(6) }),
    "crossEntropy",
    "targets",
    "[2, 3]",
    "got [6]",
  ],
  ["crossEntropy: dtype", () => ops.crossEntropy({ logits: f32(2, 7), targets: f32(2) }), "crossEntropy", "targets", "i32", "f32"],
  [
    "crossEntropy: no classes",
    () => ops.crossEntropy({ logits: f32(2, 0), targets: i32(2) }),
    "crossEntropy",
    "logits",
    "[2, 0]",
    "no classes",
  ],
  [
    "crossEntropyBackward: dLoss",
    () => ops.crossEntropyBackward({ ...lossBackward(), dLoss: f32(1) }),
    "crossEntropyBackward",
    "dLoss",
    "[3]",
    "got [1]",
  ],
  [
    "crossEntropyBackward: logSumExp",
    () => ops.crossEntropyBackward({ ...lossBackward(), logSumExp: f16(3) }),
    "crossEntropyBackward",
    "logSumExp",
    "f32",
    "f16",
  ],
  [
    "attention: axes",
    () => ops.attention(qkv([2, 3, 4], [2, 3, 4]), scale),
    "attention",
    "q",
    "[batch, heads, length, headDim]",
    "[2, 3, 4]",
  ],
  [
    "attention: groups",
    () => ops.attention(qkv([1, 6, 2, 4], [1, 4, 2, 4]), scale),
    "attention",
    "6 query heads",
    "multiple",
    "4 key-value heads",
  ],
  ["attention: widths", () => ops.attention(qkv([1, 2, 2, 4], [1, 2, 2, 8]), scale), "attention", "headDim", "4", "8"],
  [
    "attention: batches",
    () => ops.attention(qkv([2, 2, 2, 4], [1, 2, 2, 4]), scale),
    "attention",
    "batches",
    "[2, 2, 2, 4]",
    "[1, 2, 2, 4]",
  ],
  [
    "attention: lengths of k and v",
    () => ops.attention(qkv([1, 2, 2, 4], [1, 2, 3, 4], [1, 2, 5, 4]), scale),
    "attention",
    "[1, 2, 3, 4]",
    "[1, 2, 5, 4]",
  ],
  [
    "attention: dtype of k",
    () => ops.attention({ ...qkv([1, 1, 1, 1], [1, 1, 1, 1]), k: f16(1, 1, 1, 1) }, scale),
    "attention",
    "k is f16",
    "q is f32",
  ],
  [
    "attention: shape of keyMask",
    () => ops.attention({ ...qkv([2, 1, 3, 1], [2, 1, 5, 1]), keyMask: bool(2, 3) }, scale),
    "attention",
    "keyMask",
    "[2, 5]",
    "got [2, 3]",
  ],
  [
    "attention: dtype of keyMask",
    () => ops.attention({ ...qkv([2, 1, 3, 1], [2, 1, 5, 1]), keyMask: f32(2, 5) }, scale),
    "attention",
    "keyMask",
    "bool",
    "f32",
    ".ne(0)",
  ],
  ["attention: scale", () => ops.attention(qkv([1, 1, 1, 1], [1, 1, 1, 1]), { scale: Number.NaN }), "attention", "scale", "finite", "NaN"],
  ["attention: no scale", () => ops.attention(qkv([1, 1, 1, 1], [1, 1, 1, 1]), {} as never), "attention", "scale", "required"],
  [
    "attention: a map that is none",
    () => ops.attention({ ...heads(), map: f32(64) }, scale),
    "attention",
    "map",
    "u32 [capacity]",
    "f32 [64]",
  ],
  [
    "attention: causal beside a map",
    () => ops.attention({ ...heads(), map: u32(256) }, { scale: 1, causal: true }),
    "causal",
    "map",
    "and(",
  ],
  ["attention: a bias without a middle", () => ops.attention({ ...heads(), bias: f32(2, 4) }, scale), "bias", "[2, 2 reach + 1]", "[2, 4]"],
  ["attention: heads of the bias", () => ops.attention({ ...heads(), bias: f32(1, 5) }, scale), "bias", "[2, 2 reach + 1]", "[1, 5]"],
  ["attention: dtype of the bias", () => ops.attention({ ...heads(), bias: f16(2, 5) }, scale), "bias must be f32", "got f16"],
  ["attention: softcap", () => ops.attention(heads(), { scale: 1, softcap: -1 }), "attention", "softcap", "got -1"],
  ["attention: dropout", () => ops.attention(heads(), { scale: 1, dropout: 1.5 }), "attention", "dropout", "0 to 1", "got 1.5"],
  ["attention: dropout without a key", () => ops.attention(heads(), { scale: 1, dropout: 0.5 }), "attention", "dropout 0.5", "key"],
  ["attention: a key that is none", () => ops.attention({ ...heads(), key: f32(4) }, scale), "attention", "key must be u32 [4]", "f32 [4]"],
  ["attention: ordinal", () => ops.attention(heads(), { scale: 1, ordinal: -1 }), "attention", "ordinal", "got -1"],
  [
    "attentionBackward: a gradient of no bias",
    () => ops.attentionBackward(backward(), { scale: 1, biasGradient: true }),
    "attentionBackward",
    "biasGradient",
    "bias",
  ],
  [
    "attentionBackward: lse",
    () => ops.attentionBackward({ ...backward(), lse: f32(1, 2, 5) }, scale),
    "attentionBackward",
    "lse",
    "[1, 2, 3]",
    "got [1, 2, 5]",
  ],
  [
    "attentionBackward: dO",
    () => ops.attentionBackward({ ...backward(), dO: f32(1, 2, 3, 5) }, scale),
    "attentionBackward",
    "dO",
    "[1, 2, 3, 4]",
    "got [1, 2, 3, 5]",
  ],
  [
    "decodeAttention: lengths",
    () => ops.decodeAttention({ ...decode(), lengths: i32(3) }, scale),
    "decodeAttention",
    "lengths",
    "[2]",
    "got [3]",
  ],
  [
    "decodeAttention: dtype of lengths",
    () => ops.decodeAttention({ ...decode(), lengths: f32(2) }, scale),
    "decodeAttention",
    "lengths",
    "i32",
    "f32",
  ],
  [
    "writeRows: x",
    () => ops.writeRows({ cache: f32(2, 2, 5, 4), x: f32(2, 1, 1, 4), starts: i32(2) }),
    "writeRows",
    "[2, 1, 1, 4]",
    "[2, 2, 5, 4]",
  ],
  [
    "writeRows: dtype of x",
    () => ops.writeRows({ cache: f16(2, 2, 5, 4), x: f32(2, 2, 1, 4), starts: i32(2) }),
    "writeRows",
    "x is f32",
    "cache is f16",
  ],
  [
    "writeRows: starts",
    () => ops.writeRows({ cache: f32(2, 2, 5, 4), x: f32(2, 2, 1, 4), starts: i32(1) }),
    "writeRows",
    "starts",
    "[2]",
    "got [1]",
  ],
  ["rope: tables", () => ops.rope({ ...rope(), cos: f32(9, 5), sin: f32(9, 5) }), "rope", "cos and sin", "at most 4 pairs", "[9, 5]"],
  ["rope: table shapes differ", () => ops.rope({ ...rope(), sin: f32(8, 4) }), "rope", "cos and sin", "[9, 4]", "[8, 4]"],
  ["rope: positions", () => ops.rope({ ...rope(), positions: i32(2, 4) }), "rope", "positions", "[5]", "[2, 5]", "got [2, 4]"],
  ["rope: dtype of positions", () => ops.rope({ ...rope(), positions: f32(5) }), "rope", "positions", "i32", "f32"],
  ["rope: axes", () => ops.rope({ ...rope(), x: f32(3, 5, 8) }), "rope", "x", "[batch, heads, length, headDim]", "[3, 5, 8]"],
  ["adamw: moments", () => ops.adamw({ ...update(), m: f32(4) }), "adamw", "m", "[3] like param", "got [4]"],
  ["adamw: dtype of moments", () => ops.adamw({ ...update(), v: f16(3) }), "adamw", "v", "f32", "f16"],
  ["adamw: rate", () => ops.adamw({ ...update(), lr: f32(3) }), "adamw", "lr", "one element", "[3]"],
  ["adamw: skip", () => ops.adamw({ ...update(), skip: tensor(1) }), "adamw", "skip", "bool", "f32", ".ne(0)"],
  ["adamw: gradScale", () => ops.adamw({ ...update(), gradScale: f32(3) }), "adamw", "gradScale", "[]", "[3]"],
  ["sumOfSquares: nothing", () => ops.sumOfSquares({ xs: [] }), "sumOfSquares", "xs", "at least one", "none"],
  ["sumOfSquares: integers", () => ops.sumOfSquares({ xs: [f32(2), i32(2)] }), "sumOfSquares", "xs[1]", "floating point", "i32"],
  [
    "sumOfSquares: mixed",
    () => ops.sumOfSquares({ xs: [f32(2), zeros([2], { dtype: "f64" })] }),
    "sumOfSquares",
    "xs[1] is f64",
    "xs[0] is f32",
  ],
  ["dropout: p", () => ops.dropout(f32(2), 1.5), "dropout", "p", "from 0 to 1", "1.5"],
  ["dropout: NaN", () => ops.dropout(f32(2), Number.NaN), "dropout", "p", "NaN"],
  ["a name that is none", () => ops.softmax({ y: f32(2) } as never), "softmax", '"y"', "x"],
  ["an attribute that is none", () => ops.softmax({ x: f32(2) }, { dim: 0 } as never), "softmax", '"dim"', "axis"],
];

describe("errors name the operation, the argument, what was expected and what came:", () => {
  test.each(cases.map(([name, call, ...words]) => ({ name, call, words })))("$name", ({ call, words }) => {
    let caught: unknown;
    try {
      call();
    } catch (error) {
      caught = error;
    }
    expect(TensorError.isInstance(caught), String(caught)).toBe(true);
    for (const word of words) expect((caught as Error).message).toContain(word);
  });
});

describe("checkTokens refuses ids outside the vocabulary:", () => {
  test.each([
    [[0, 5, 3], "token 5 at position 1"],
    [[-1], "token -1 at position 0"],
    [[0, 1, 1.5], "token 1.5 at position 2"],
    [[Number.NaN], "token NaN at position 0"],
  ])("%o", (tokens, words) => {
    expect(() => ops.checkTokens(tokens, 5, "prompt")).toThrow(words);
    expect(() => ops.checkTokens(tokens, 5, "prompt")).toThrow("vocabulary of 5");
  });
  test("and passes those inside", () => expect(() => ops.checkTokens(Int32Array.of(0, 4, 2), 5)).not.toThrow());
});
