import { type OnnxGraph, type OnnxNode, onnxModel } from "./onnx.ts";
import {
  type AttentionWorkload,
  type BlocksWorkload,
  blockShapes,
  type GemmWorkload,
  type Inputs,
  type RowsWorkload,
} from "./workloads.ts";

/** `y = a @ b`, with `b` a constant of the model or an input. */
export function gemmModel({ m, k, n }: GemmWorkload, { b }: Inputs, constantB: boolean): Uint8Array {
  return onnxModel({
    nodes: [{ op: "MatMul", inputs: ["a", "b"], outputs: ["y"] }],
    inputs: { a: [m, k], ...(!constantB && { b: [k, n] }) },
    outputs: { y: [m, n] },
    ...(constantB && { constants: { b: { shape: [k, n], data: b! } } }),
  });
}

/** The row operation applied `times` in a row to `x`: the difference of two lengths is its cost without copies in and out. */
export function rowsModel({ kind, rows, cols }: RowsWorkload, given: Inputs, times: number): Uint8Array {
  const one = (from: string, to: string): OnnxNode => {
    if (kind === "softmax") return { op: "Softmax", inputs: [from], outputs: [to], attributes: { axis: 1 } };
    if (kind === "gelu") return { op: "Gelu", inputs: [from], outputs: [to], attributes: { approximate: "tanh" } };
    const attributes = { axis: 1, epsilon: { float: 1e-5 } };
    return { op: "LayerNormalization", inputs: [from, "weight", "bias"], outputs: [to], attributes };
  };
  const name = (i: number) => (i === 0 ? "x" : i === times ? "y" : `h${i}`);
  const graph: OnnxGraph = {
    nodes: Array.from({ length: times }, (_, i) => one(name(i), name(i + 1))),
    inputs: { x: [rows, cols] },
    outputs: { y: [rows, cols] },
  };
  const vector = (data: Float32Array) => ({ shape: [cols], data });
  if (kind === "layernorm") graph.constants = { weight: vector(given.weight!), bias: vector(given.bias!) };
  return onnxModel(graph);
}

/** Attention by onnxruntime's own operator, on `q`, `k` and `v` of `[1, tokens, heads * width]`. */
export function attentionModel({ heads, tokens, width, causal }: AttentionWorkload): Uint8Array {
  const shape = [1, tokens, heads * width];
  const attributes = { num_heads: heads, unidirectional: causal ? 1 : 0 };
  return onnxModel({
    nodes: [{ op: "MultiHeadAttention", domain: "com.microsoft", inputs: ["q", "k", "v"], outputs: ["y"], attributes }],
    inputs: { q: shape, k: shape, v: shape },
    outputs: { y: shape },
  });
}

/** The same of ONNX's plain operators, on `[heads, tokens, width]`. */
export function composedAttentionModel({ heads, tokens, width, causal }: AttentionWorkload): Uint8Array {
  const shape = [heads, tokens, width];
  const node = (op: string, inputs: string[], output: string, attributes: OnnxNode["attributes"] = {}): OnnxNode => {
    return { op, inputs, outputs: [output], attributes };
  };
  const mask = new Float32Array(tokens * tokens).map((_, i) => (i % tokens > Math.floor(i / tokens) ? -1e9 : 0));
  return onnxModel({
    nodes: [
      node("Transpose", ["k"], "kt", { perm: [0, 2, 1] }),
      node("MatMul", ["q", "kt"], "products"),
      node("Mul", ["products", "scale"], "scores"),
      ...(causal ? [node("Add", ["scores", "mask"], "masked")] : []),
      node("Softmax", [causal ? "masked" : "scores"], "p", { axis: 2 }),
      node("MatMul", ["p", "v"], "y"),
    ],
    inputs: { q: shape, k: shape, v: shape },
    outputs: { y: shape },
    constants: {
      scale: { shape: [], data: Float32Array.of(1 / Math.sqrt(width)) },
      ...(causal && { mask: { shape: [tokens, tokens], data: mask } }),
    },
  });
}

/** All the blocks, weights constant; the names of intermediate values are those of `BlocksWorkload`. */
export function blocksModel(work: BlocksWorkload, given: Inputs): Uint8Array {
  const { layers, heads, dim, tokens } = work;
  const shape = (values: number[]) => ({ shape: [values.length], data: BigInt64Array.from(values, BigInt) });
  const constants: NonNullable<OnnxGraph["constants"]> = {
    split: shape([tokens, 3, heads, dim / heads]),
    merged: shape([tokens, dim]),
    row: shape([heads, tokens, dim / heads]),
    scale: { shape: [], data: Float32Array.of(1 / Math.sqrt(dim / heads)) },
    zero: { shape: [dim], data: new Float32Array(dim) },
  };
  const nodes: OnnxNode[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const [name, axes] of blockShapes(dim)) constants[`${layer}.${name}`] = { shape: axes, data: given[`${layer}.${name}`]! };
    nodes.push(...blockNodes(layer, layer === 0 ? "x" : `${layer - 1}.y`, layer === layers - 1 ? "y" : `${layer}.y`));
  }
  return onnxModel({ nodes, constants, inputs: { x: [tokens, dim] }, outputs: { y: [tokens, dim] } });
}

function blockNodes(layer: number, from: string, to: string): OnnxNode[] {
  const at = (name: string) => `${layer}.${name}`;
  const node = (op: string, inputs: string[], output: string, attributes: OnnxNode["attributes"] = {}): OnnxNode => {
    return { op, inputs, outputs: [output], attributes };
  };
  const norm = { axis: 1, epsilon: { float: 1e-5 } };
  const part = (index: string) => at(`${index}3`);
  return [
    node("LayerNormalization", [from, at("norm1"), "zero"], at("n1"), norm),
    node("MatMul", [at("n1"), at("wqkv")], at("qkv")),
    node("Reshape", [at("qkv"), "split"], at("qkv4")),
    node("Transpose", [at("qkv4")], at("qkvt"), { perm: [1, 2, 0, 3] }), // [3, heads, tokens, width]
    { op: "Split", inputs: [at("qkvt")], outputs: ["q", "k", "v"].map((name) => at(name)), attributes: { axis: 0, num_outputs: 3 } },
    ...["q", "k", "v"].map((name) => node("Reshape", [at(name), "row"], part(name))),
    node("Transpose", [part("k")], at("kt"), { perm: [0, 2, 1] }),
    node("MatMul", [part("q"), at("kt")], at("scores")),
    node("Mul", [at("scores"), "scale"], at("scaled")),
    node("Softmax", [at("scaled")], at("p"), { axis: 2 }),
    node("MatMul", [at("p"), part("v")], at("o")),
    node("Transpose", [at("o")], at("ot"), { perm: [1, 0, 2] }),
    node("Reshape", [at("ot"), "merged"], at("om")),
    node("MatMul", [at("om"), at("wo")], at("a")),
    node("Add", [from, at("a")], at("x1")),
    node("LayerNormalization", [at("x1"), at("norm2"), "zero"], at("n2"), norm),
    node("MatMul", [at("n2"), at("wfc")], at("f")),
    node("Gelu", [at("f")], at("g"), { approximate: "tanh" }),
    node("MatMul", [at("g"), at("wproj")], at("d")),
    node("Add", [at("x1"), at("d")], to),
  ];
}
