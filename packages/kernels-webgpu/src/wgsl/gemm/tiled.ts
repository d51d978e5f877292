import { mathSource } from "../math.ts";
import {
  accumulators,
  batchLines,
  blockLines,
  type Form,
  finishCode,
  groupLines,
  lane,
  mathOf,
  placeLines,
  range,
  type Side,
  stepLines,
  storeLines,
  sumLines,
  sumsLines,
} from "./form.ts";

/** Blocks of four outer elements by four steps that an operand's share of shared memory has, and the first invocation that loads one. */
interface Share {
  readonly side: Side;
  /** Quads of outer elements in the tile. */
  readonly quads: number;
  readonly blocks: number;
  readonly first: number;
}

/** Loads of one invocation: each of its blocks of an operand. */
function loadsOf({ side, quads, blocks, first }: Share, depth: number, threads: number) {
  const { name } = side;
  const origin = name === "a" ? "by" : "bx";
  return range(Math.ceil(blocks / threads)).map((n) => {
    const tag = `${name}${n}`;
    const index = first === 0 ? "index" : `((index + ${threads - first}u) % ${threads}u)`;
    // Neighbours read neighbours: along the axis on which elements lie together.
    const [quad, step] =
      side.along === "k" ? [`${tag}_u / ${depth / 4}u`, `${tag}_u % ${depth / 4}u`] : [`${tag}_u % ${quads}u`, `${tag}_u / ${quads}u`];
    return {
      tag,
      guard: blocks % threads === 0 ? undefined : `${tag}_u < ${blocks}u`,
      places: [
        `let ${tag}_u = ${index} + ${n * threads}u;`,
        `let ${tag}_q = ${quad};`,
        `let ${tag}_s = ${step};`,
        ...placeLines(side, tag, `(${origin} * ${quads}u + ${tag}_q) * 4u`),
        ...range(4).map((t) => `var ${tag}_n${t} = vec4<f32>();`),
      ],
      fetch: (end: string | undefined) => [
        `let ${tag}_k = k + ${tag}_s * 4u;`,
        ...blockLines(side, tag, `${tag}_k`, end),
        ...range(4).map((t) => `${tag}_n${t} = ${tag}_${t};`),
      ],
      keep: range(4).map((t) => `tile_${name}[(${tag}_s * 4u + ${t}u) * ${quads}u + ${tag}_q] = ${tag}_n${t};`),
    };
  });
}

const guarded = (guard: string | undefined, lines: readonly string[]) =>
  guard ? [`if (${guard}) {`, ...lines, "}"] : ["{", ...lines, "}"];

/** One step of the sum out of shared memory. */
function tileSteps(form: Form, quadsA: number, quadsB: number): string[] {
  const { rows, columns, down, across } = form.tile;
  return [
    ...range(rows / 4).map((q) => `let a${q} = tile_a[t * ${quadsA}u + y + ${q * down}u];`),
    ...range(columns / 4).map((q) => `let b${q} = tile_b[t * ${quadsB}u + x + ${q * across}u];`),
    ...sumsLines(form, (q) => `a${q}`),
    ...stepLines(
      form,
      (r) => `a${r >> 2}.${lane(r & 3)}`,
      (q) => `b${q}`,
    ),
  ];
}

/**
 * A workgroup's share of both operands goes through shared memory, turned so that four outer elements of one step are a vector. The next share is fetched into registers while this one
 * is worked on. Quads of an invocation lie `across` and `down` quads apart, so that neighbours read neighbouring vectors.
 */
export function tiledCode(form: Form): string {
  const { tile, ragged } = form;
  const { rows, columns, down, across, depth } = tile;
  const threads = down * across;
  const [quadsA, quadsB] = [(rows / 4) * down, (columns / 4) * across];
  const blocksA = (quadsA * depth) / 4;
  const shares: Share[] = [
    { side: form.a, quads: quadsA, blocks: blocksA, first: 0 },
    { side: form.b, quads: quadsB, blocks: (quadsB * depth) / 4, first: blocksA % threads },
  ];
  const loads = shares.flatMap((share) => loadsOf(share, depth, threads));
  const fetch = loads.flatMap((load) => guarded(load.guard, load.fetch(ragged ? "end" : undefined)));
  const steps = tileSteps(form, quadsA, quadsB);
  return `${mathSource(mathOf(form.epilogue.activation))}${finishCode(form.epilogue)}
var<workgroup> tile_a: array<vec4<f32>, ${quadsA * depth}>;
var<workgroup> tile_b: array<vec4<f32>, ${quadsB * depth}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  ${groupLines(form).join("\n  ")}
  if (batch >= p.batches) { return; }
  let x = index % ${across}u;
  let y = index / ${across}u;
  ${batchLines(form.batch).join("\n  ")}
  ${loads.flatMap(({ places }) => places).join("\n  ")}
  ${accumulators(form).join("\n  ")}
  ${sumLines(form).join("\n  ")}
  {
    let k = begin;
    ${fetch.join("\n    ")}
  }
  for (var k = begin + ${depth}u; k < end + ${depth}u; k += ${depth}u) {
    workgroupBarrier();
    ${loads.flatMap(({ guard, keep }) => guarded(guard, keep)).join("\n    ")}
    workgroupBarrier();
    if (k < end) {
      ${fetch.join("\n      ")}
    }
    for (var t = 0u; t < ${depth}u; t++) {
      ${steps.join("\n      ")}
    }
  }
  ${storeLines(
    form,
    (r) => `(((by * ${rows / 4}u + ${r >> 2}u) * ${down}u + y) * 4u + ${r & 3}u)`,
    (q) => `(((bx * ${columns / 4}u + ${q}u) * ${across}u + x) * 4u)`,
  ).join("\n  ")}
}
`;
}
