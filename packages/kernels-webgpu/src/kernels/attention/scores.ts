import { mathSource } from "../../wgsl/math.ts";
import { blockSize } from "./blocking.ts";

/** What a launch has besides q, k and v: text is written for what there is. */
export interface Traits {
  readonly causal: boolean;
  readonly keyMask: boolean;
  readonly map: boolean;
  readonly bias: boolean;
  readonly softcap: boolean;
  readonly dropout: boolean;
  /** `key_mask_of(i)`, `bias_of(i)` and `draw_key_of(i)`, as far as there are such inputs. */
  readonly source: string;
}

/** Of a score nobody sees. Rows begin above it, so that it weighs nothing. */
export const hidden = "-1e30";
export const lowest = "-1e29";

/** Whether the text of a score is so long that it should stand in a source once. */
export const isLong = ({ map, bias, softcap, dropout }: Traits): boolean => map || bias || softcap || dropout;

/** The functions that the expressions below call. */
export function scoreSource({ keyMask, map, bias, softcap, dropout, source }: Traits): string {
  const math = ["infinity", ...(map ? ["nan"] : []), ...(softcap ? ["m_tanh"] : []), ...(dropout ? ["philox"] : [])];
  return `${mathSource(math)}${source}${keyMask ? present : ""}${map ? inMask : ""}${bias ? biases : ""}${dropout ? kept : ""}`;
}

// Text about four pairs of query `i` and key `j`, in the scope of their `batch`, `head`, first `row` in [batch, heads, queries] and `offset` of the first query behind the first key; in a
// run of a map also of its `mask` (0: none) and what repeats add, `more`. `s` are products of q and k, `y` of dO and v.

/** Who sees whom. */
export function visible({ causal, keyMask, map }: Traits): string {
  const tests = [
    "(j < vec4<u32>(p.keys))",
    ...(causal ? ["(vec4<i32>(j) <= vec4<i32>(i) + offset)"] : []),
    ...(keyMask ? ["present(batch, j)"] : []),
    ...(map ? ["in_mask(mask, i, j)"] : []),
  ];
  return tests.join(" & ");
}

/** Products scaled; with a cap what it takes the tanh for. */
const bent = ({ softcap }: Traits): string => (softcap ? "m_tanh(s * (p.scale / p.softcap))" : "s * p.scale");
/** Scores, where `bent` gave b. */
const raised = ({ softcap, map, bias }: Traits, b: string): string =>
  [softcap ? `${b} * p.softcap` : b, ...(bias ? ["biases(head, i, j)"] : []), ...(map ? ["more"] : [])].join(" + ");

export const score = (traits: Traits): string => raised(traits, bent(traits));

/** What dropout leaves of a weight. */
export const thinned = ({ dropout }: Traits, weight: string): string => (dropout ? `${weight} * kept(row, i, j)` : weight);

/** Statements: weights `e` and what dropout leaves of them, `left`; gradients by scores, `d`, and by products, `ds`. `lse` and `delta` are those of the queries. */
export const gradientOfScores = (traits: Traits): string => {
  const { softcap, dropout } = traits;
  return `let b = ${bent(traits)};
let e = select(vec4<f32>(), exp(${raised(traits, "b")} - lse), ${visible(traits)});
${dropout ? "let z = kept(row, i, j);" : ""}
let d = e * (${dropout ? "y * z" : "y"} - delta);
let ds = ${softcap ? "d * (1.0 - b * b)" : "d"} * p.scale;
let left = ${dropout ? "e * z" : "e"};`;
};

const present = `
fn present(batch: u32, j: vec4<u32>) -> vec4<bool> {
  let at = vec4<u32>(batch * p.keys) + min(j, vec4<u32>(p.keys - 1u));
  return vec4<u32>(key_mask_of(at.x), key_mask_of(at.y), key_mask_of(at.z), key_mask_of(at.w)) != vec4<u32>(0u);
}`;

const inMask = `
fn in_mask(mask: u32, i: vec4<u32>, j: vec4<u32>) -> vec4<bool> {
  if (mask == 0u) { return vec4<bool>(true); }
  let at = vec4<u32>(mask) + 2u * (i % ${blockSize}u) + ((j % ${blockSize}u) >> vec4<u32>(5u));
  let words = vec4<u32>(map_at(at.x), map_at(at.y), map_at(at.z), map_at(at.w));
  return ((words >> (j & vec4<u32>(31u))) & vec4<u32>(1u)) != vec4<u32>(0u);
}`;

const biases = `
fn biases(head: u32, i: vec4<u32>, j: vec4<u32>) -> vec4<f32> {
  let distance = vec4<i32>(j) - vec4<i32>(i) + (i32(p.queries) - i32(p.keys));
  let at = vec4<u32>(clamp(distance + p.reach, vec4<i32>(0), vec4<i32>(2 * p.reach))) + head * (2u * u32(p.reach) + 1u);
  return vec4<f32>(bias_of(at.x), bias_of(at.y), bias_of(at.z), bias_of(at.w));
}`;

/** The draw's element is the position in [batch, heads, queries, keys], of which one call of the generator serves four: what it gave last is kept. No block has the number ~0. */
const kept = `
var<private> drawn_block = vec4<u32>(0xffffffffu);
var<private> drawn: array<vec4<u32>, 4>;
fn kept(row: u32, i: vec4<u32>, j: vec4<u32>) -> vec4<f32> {
  let element = (vec4<u32>(row) + i) * p.keys + j;
  let block = element >> vec4<u32>(2u);
  var z: vec4<f32>;
  for (var n = 0u; n < 4u; n++) {
    if (block[n] != drawn_block[n]) {
      drawn[n] = philox(block[n], p.ordinal, vec4<u32>(draw_key_of(0u), draw_key_of(1u), draw_key_of(2u), draw_key_of(3u)));
      drawn_block[n] = block[n];
    }
    z[n] = select(0.0, p.kept, (drawn[n][element[n] & 3u] >> 8u) >= p.threshold);
  }
  return z;
}`;
