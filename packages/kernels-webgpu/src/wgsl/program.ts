import { collapse, dtypes, type Instruction, type Iteration, type Program } from "@x/tensor";
import { f32, i32, type Param, u32, type WebgpuLaunch } from "../device/launch.ts";
import type { Place, Strided } from "../kernels/planner.ts";
import { castTo, emitters, type Lane, mentioned } from "./instructions.ts";
import { mathSource } from "./math.ts";

const workgroup = 256;
/** Vectors that an invocation computes, at most: where there are enough of them, starting invocations would cost more than the work. */
const mostRounds = 16;

/** How a leaf is fetched for four neighbouring elements. */
type Fetch =
  | "key"
  /** One element for all. */
  | "one"
  /** A vector at a place of its own row, or of the whole. */
  | "vector"
  /** Four single loads at a distance. */
  | "lanes";

interface Leaf {
  readonly name: string;
  readonly place: Place;
  readonly fetch: Fetch;
  readonly offset: number;
  readonly strides: readonly number[];
}

/**
 * The launch of a pointwise program over `shape`, vectors of four elements of the row-major order, into contiguous memory; undefined where there is nothing to do. Leaves without
 * strides are keys. Constants and strides are parameters, so that programs of one form share a pipeline. With `busy` workgroups the adapter is busy.
 */
export function programLaunch(
  program: Program,
  shape: readonly number[],
  leaves: readonly (Strided | Place)[],
  out: Place,
  busy: number,
): WebgpuLaunch | undefined {
  const size = shape.reduce((n, extent) => n * extent, 1);
  if (size === 0) return undefined;
  const chunks = Math.ceil(size / 4);
  const share = workgroup * Math.min(mostRounds, Math.max(1, Math.floor(chunks / (workgroup * busy))));
  const iteration = collapse(
    shape,
    leaves.map((leaf) => ("strides" in leaf ? leaf.strides : undefined)),
  );
  const rowwise = iteration.extents.at(-1)! % 4 === 0 || iteration.extents.length === 1;
  const fetched = leaves.map((leaf, i) => describe(leaf, i, iteration, rowwise));
  const params: Record<string, Param> = { chunks: u32(chunks), share: u32(share) };
  for (const [i, extent] of iteration.extents.entries()) params[`extent${i}`] = u32(extent);
  for (const { name, fetch, offset, strides } of fetched) {
    // A place without strides adds nothing but its offset.
    if (fetch !== "key") params[`${name}_offset`] = i32(offset);
    if (fetch === "key" || strides.every((stride) => stride === 0)) continue;
    for (const [axis, stride] of strides.entries()) params[`${name}_stride${axis}`] = i32(stride);
  }
  const body = instructions(program, fetched, params);
  return {
    label: `pointwise ${
      program.instructions
        .map(({ op }) => op)
        .filter((op) => op !== "leaf" && op !== "literal")
        .join(" ") || "copy"
    }`.slice(0, 120),
    code: source(iteration, fetched, rowwise, body),
    buffers: [
      ...fetched.map(({ name, place, fetch }) => ({
        name,
        buffer: place.name,
        elements: { dtype: place.dtype, width: fetch === "vector" ? 4 : 1 } as const,
        access: "read" as const,
      })),
      { name: "out", buffer: out.name, elements: { dtype: out.dtype, width: 4 }, access: "write" },
    ],
    params,
    groups: Math.ceil(chunks / share),
  };
}

function describe(leaf: Strided | Place, index: number, { extents, strides, access }: Iteration, rowwise: boolean): Leaf {
  const name = `x${index}`;
  if (!("strides" in leaf)) return { name, place: leaf, fetch: "key", offset: 0, strides: [] };
  const own = strides[index]!;
  const steps = { name, place: leaf, offset: leaf.offset, strides: own };
  const flat = own.every((stride) => stride === 0);
  if (flat || (rowwise && access[index] === "broadcast")) return { ...steps, fetch: "one" };
  const aligned = leaf.offset % 4 === 0 && own.slice(0, -1).every((stride) => stride % 4 === 0 && stride >= 0);
  const side = access[index] === "contiguous" && rowwise && (aligned || extents.length === 1) && leaf.offset % 4 === 0;
  return { ...steps, fetch: side ? "vector" : "lanes" };
}

const laneOf = (type: Instruction["type"]): Lane => (type === "f64" ? "f32" : type);

/** The straight line of instructions, and what they have for constants as parameters. */
function instructions(program: Program, leaves: readonly Leaf[], params: Record<string, Param>): string[] {
  const types = program.instructions.map(({ type }) => laneOf(type));
  const lines = program.instructions.map((instruction, i) => {
    const value = expression(instruction, i, types, leaves, params, program);
    return `let r${i} = ${value};`;
  });
  const { register, dtype } = program.outputs[0]!;
  const stored = types[register] === "bool" ? `select(vec4<u32>(0), vec4<u32>(1), r${register})` : `r${register}`;
  const encoded = dtype === "u8" && types[register] === "i32" ? `vec4<u32>(${stored})` : stored;
  return [...lines, `out_put(c, ${encoded});`];
}

function expression(
  instruction: Instruction,
  index: number,
  types: readonly Lane[],
  leaves: readonly Leaf[],
  params: Record<string, Param>,
  program: Program,
): string {
  const type = types[index]!;
  switch (instruction.op) {
    case "leaf": {
      const { name } = leaves[instruction.leaf]!;
      return dtypes[program.leaves[instruction.leaf]!].kind === "bool" ? `(${name}_v != vec4<u32>(0))` : `${name}_v`;
    }
    case "literal":
      params[`k${index}`] = literal(instruction.value, type);
      return type === "bool" ? `vec4<bool>(p.k${index} != 0u)` : `vec4<${type}>(p.k${index})`;
    case "index":
      return "(vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u))";
    case "random":
      params[`k${index}`] = u32(instruction.ordinal >>> 0);
      return `philox(c, p.k${index}, ${leaves[instruction.leaf]!.name}_v)`;
    case "cast":
      return castTo(type, types[instruction.args[0]!]!, `r${instruction.args[0]}`);
    default: {
      const [a = 0, b = 0, c = 0] = instruction.args;
      const operand = instruction.op === "select" ? types[b]! : types[a]!;
      return emitters[instruction.op](`r${a}`, `r${b}`, `r${c}`, operand);
    }
  }
}

function literal(value: number, type: Lane): Param {
  if (type === "f32") return f32(value);
  if (type === "i32") return i32(value);
  return u32(type === "bool" ? (value ? 1 : 0) : value);
}

function source(iteration: Iteration, leaves: readonly Leaf[], rowwise: boolean, body: readonly string[]): string {
  const code = body.join("\n    ");
  return `${mathSource(mentioned(code))}
@compute @workgroup_size(${workgroup})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group_of(group) * p.share;
  let end = min(p.chunks, first + p.share);
  for (var c = first + lane; c < end; c += ${workgroup}u) {
    ${[...fetches(iteration, leaves, rowwise), code].join("\n    ")}
  }
}
`;
}

/** Lines that load each leaf into \`NAME_v\`. */
function fetches(iteration: Iteration, leaves: readonly Leaf[], rowwise: boolean): string[] {
  const placed = leaves.filter(({ fetch, strides }) => fetch !== "key" && strides.some((stride) => stride !== 0));
  const lines: string[] = [];
  const general = !rowwise && placed.length > 0;
  // In rows of whole fours the place of the first element tells those of its neighbours.
  if (placed.length > 0 && !general) lines.push(...positions(iteration, "4u * c", placed, ""));
  if (general)
    for (let k = 0; k < 4; k++) lines.push(...positions(iteration, `min(4u * c + ${k}u, ${lastOf(iteration)})`, placed, String(k)));
  for (const leaf of leaves) lines.push(`let ${leaf.name}_v = ${fetch(leaf, general)};`);
  return lines;
}

const lastOf = ({ extents }: Iteration) => `${extents.map((_, i) => `p.extent${i}`).join(" * ")} - 1u`;

/** The place of a flat index in each strided leaf. */
function positions({ extents }: Iteration, flat: string, leaves: readonly Leaf[], suffix: string): string[] {
  const lines = [`var rest${suffix} = ${flat};`];
  for (let axis = extents.length - 1; axis >= 0; axis--) {
    const last = axis === 0;
    lines.push(`let i${axis}_${suffix} = i32(${last ? `rest${suffix}` : `rest${suffix} % p.extent${axis}`});`);
    if (!last) lines.push(`rest${suffix} /= p.extent${axis};`);
  }
  for (const { name } of leaves) {
    const terms = extents.map((_, axis) => `i${axis}_${suffix} * p.${name}_stride${axis}`);
    lines.push(`let ${name}_i${suffix} = p.${name}_offset + ${terms.join(" + ")};`);
  }
  return lines;
}

function fetch({ name, fetch: how, place, strides }: Leaf, general: boolean): string {
  const type = dtypes[place.dtype].kind === "float" ? "f32" : place.dtype === "i32" ? "i32" : "u32";
  const flat = strides.every((stride) => stride === 0);
  if (how === "key") return `vec4<u32>(${[0, 1, 2, 3].map((k) => `${name}_at(${k}u)`).join(", ")})`;
  if (flat) return `vec4<${type}>(${name}_at(u32(p.${name}_offset)))`;
  if (how === "one") return `vec4<${type}>(${name}_at(u32(${name}_i)))`;
  if (how === "vector") return `${name}_at(u32(${name}_i) / 4u)`;
  const inner = `p.${name}_stride${strides.length - 1}`;
  const at = (k: number) => (general ? `${name}_i${k}` : `${name}_i + ${k} * ${inner}`);
  return `vec4<${type}>(${[0, 1, 2, 3].map((k) => `${name}_at(u32(${at(k)}))`).join(", ")})`;
}
