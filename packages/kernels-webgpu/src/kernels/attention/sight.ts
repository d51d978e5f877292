import { sizeOf } from "@x/tensor";
import { f32, i32, type Param, u32 } from "../../device/launch.ts";
import type { Place, Planner, Wide } from "../planner.ts";
import type { Traits } from "./scores.ts";

interface AttentionAttrs {
  readonly scale: number;
  readonly causal: boolean;
  readonly softcap: number;
  readonly dropout: number;
  readonly ordinal: number;
}

/** What scores depend on besides q and k, as launches take it. */
export interface Sight {
  readonly traits: Traits;
  readonly reads: Readonly<Record<string, Place>>;
  readonly params: Readonly<Record<string, Param>>;
}

/** The small inputs: what sources call them, and what their elements are. */
const small = {
  key: { name: "draw_key", type: "u32" },
  bias: { name: "bias", type: "f32" },
  keyMask: { name: "key_mask", type: "u32" },
} as const;
type Small = keyof typeof small;

/** Reads attributes and optional inputs. */
export function sightOf(p: Planner, attrs: AttentionAttrs): Sight {
  const [softcap, dropout] = [attrs.softcap > 0, attrs.dropout > 0];
  const given: Record<Small, boolean> = { key: dropout, bias: p.has("bias"), keyMask: p.has("keyMask") };
  const inputs = (Object.keys(small) as Small[]).filter((input) => given[input]);
  const { reads, params, source } = inputs.length > 1 ? packed(p, inputs) : alone(p, inputs);
  return {
    traits: { causal: attrs.causal, softcap, dropout, map: p.has("map"), bias: given.bias, keyMask: given.keyMask, source },
    reads: { ...(p.has("map") && { map: p.input("map") }), ...reads },
    params: {
      ...{ scale: f32(attrs.scale), ...params },
      ...(softcap && { softcap: f32(attrs.softcap) }),
      ...(given.bias && { reach: i32(reachOf(p)) }),
      ...(dropout && drawOf(attrs)),
    },
  };
}

/** How far the table of biases reaches to both sides of distance 0. */
const reachOf = (p: Planner): number => (p.spec("bias").shape[1]! - 1) / 2;

/** Below the threshold an element is dropped. With everything dropped nothing may be scaled by 1 / 0. */
const drawOf = ({ dropout, ordinal }: AttentionAttrs) => ({
  ordinal: u32(ordinal),
  threshold: u32(Math.ceil(Math.fround(dropout) * 2 ** 24)),
  kept: f32(dropout === 1 ? 1 : 1 / (1 - dropout)),
});

/** `NAME_of(i)` in the text of sources. */
const access = (input: Small, value: (name: string, type: Wide) => string): string => {
  const { name, type } = small[input];
  return `fn ${name}_of(i: u32) -> ${type} { return ${value(name, type)}; }\n`;
};

const alone = (p: Planner, inputs: readonly Small[]) => ({
  reads: Object.fromEntries(inputs.map((input) => [small[input].name, p.input(input)])),
  params: {},
  source: inputs.map((input) => access(input, (name) => `${name}_at(i)`)).join(""),
});

/** The words of several behind one another, as a launch has eight bindings. */
function packed(p: Planner, inputs: readonly Small[]) {
  const sizes = inputs.map((input) => sizeOf(p.spec(input).shape));
  const begins = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const extra = p.scratch(
    sizes.reduce((sum, size) => sum + size, 0),
    "u32",
  );
  const params = Object.fromEntries(inputs.map((input, i) => [`${small[input].name}_begin`, u32(begins[i]!)]));
  p.run({
    label: "attention small inputs",
    code: packSource(inputs),
    params: { ...params, ...Object.fromEntries(inputs.map((input, i) => [`${small[input].name}_size`, u32(sizes[i]!)])) },
    reads: alone(p, inputs).reads,
    writes: { extra },
    groups: Math.ceil(Math.max(...sizes) / 64),
  });
  const word = (name: string, type: Wide) => `bitcast<${type}>(extra_at(p.${name}_begin + i))`;
  return { reads: { extra }, params, source: inputs.map((input) => access(input, word)).join("") };
}

const packSource = (inputs: readonly Small[]): string => `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group_of(group) * 64u + lane;
  ${inputs
    .map((input) => small[input].name)
    .map((name) => `if (i < p.${name}_size) { extra_put(p.${name}_begin + i, bitcast<u32>(${name}_at(i))); }`)
    .join("\n  ")}
}
`;
