/** What a launch has besides q, k and v: text is written for what there is. */
export interface Traits {
  readonly causal: boolean;
  readonly keyMask: boolean;
  /** Keys are counted by the entry: a cache. */
  readonly lengths: boolean;
}

/** Of a score nobody sees. Rows begin above it, so that it weighs nothing. */
export const hidden = "-1e30";
export const lowest = "-1e29";

/**
 * Functions of four pairs of query i and key j: `visible` who sees whom, `score` the score of scaled products. `keys` and `offset` are those of the entry: its keys, and how far the first
 * query stands behind the first key.
 */
export function scoreSource({ causal, keyMask, lengths }: Traits): string {
  const tests = [
    "(j < vec4<u32>(keys))",
    ...(causal ? ["(vec4<i32>(j) <= vec4<i32>(i) + offset)"] : []),
    ...(keyMask ? ["present(batch, j)"] : []),
  ];
  return `
fn keys_of(batch: u32) -> u32 { return ${lengths ? "u32(clamp(lengths_at(batch), 0, i32(p.keys)))" : "p.keys"}; }
${keyMask ? present : ""}
fn visible(batch: u32, i: vec4<u32>, j: vec4<u32>, keys: u32, offset: i32) -> vec4<bool> { return ${tests.join(" & ")}; }
`;
}

const present = `
fn present(batch: u32, j: vec4<u32>) -> vec4<bool> {
  let at = vec4<u32>(batch * p.keys) + min(j, vec4<u32>(p.keys - 1u));
  return vec4<u32>(key_mask_at(at.x), key_mask_at(at.y), key_mask_at(at.z), key_mask_at(at.w)) != vec4<u32>(0u);
}`;
