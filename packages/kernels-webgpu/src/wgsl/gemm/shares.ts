import { blockLines, placeLines, range, type Side } from "./form.ts";

/** Blocks of four outer elements by four steps that an operand's share of shared memory has, and the first invocation that loads one. */
export interface Share {
  readonly side: Side;
  /** Quads of outer elements in the tile. */
  readonly quads: number;
  readonly blocks: number;
  readonly first: number;
}

/** The shares of both operands in a tile of `quads` quads of rows and of columns, `depth` steps deep. */
export function sharesOf(a: Side, b: Side, [quadsA, quadsB]: readonly [number, number], depth: number, threads: number): Share[] {
  const blocksA = (quadsA * depth) / 4;
  return [
    { side: a, quads: quadsA, blocks: blocksA, first: 0 },
    { side: b, quads: quadsB, blocks: (quadsB * depth) / 4, first: blocksA % threads },
  ];
}

/**
 * Loads of one invocation, each of its blocks of an operand: from memory into registers, and later from there into shared memory. `keep` writes one step of a quad of outer elements: its step in the
 * tile, its quad, and the vector.
 */
export function loadsOf(
  { side, quads, blocks, first }: Share,
  depth: number,
  threads: number,
  keep: (name: "a" | "b", step: string, quad: string, vector: string) => readonly string[],
) {
  const { name } = side;
  const origin = name === "a" ? "by" : "bx";
  return range(Math.ceil(blocks / threads)).map((n) => {
    const tag = `${name}${n}`;
    const index = first === 0 ? "index" : `((index + ${threads - first}u) % ${threads}u)`;
    // Neighbours read neighbours: along the axis on which elements lie together.
    const [quad, step] =
      side.along === "k" ? [`${tag}_u / ${depth / 4}u`, `${tag}_u % ${depth / 4}u`] : [`${tag}_u % ${quads}u`, `${tag}_u / ${quads}u`];
    return {
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
      keep: range(4).flatMap((t) => keep(name, `(${tag}_s * 4u + ${t}u)`, `${tag}_q`, `${tag}_n${t}`)),
    };
  });
}

const guarded = (guard: string | undefined, lines: readonly string[]): string[] =>
  guard ? [`if (${guard}) {`, ...lines, "}"] : ["{", ...lines, "}"];

/** Walks the sum by shares: while `steps` use those in workgroup memory, the next are on their way into registers. `end` ends the part of the sum, where shares may pass it. */
export function throughShares(
  loads: readonly ReturnType<typeof loadsOf>[number][],
  depth: number,
  end: string | undefined,
  steps: readonly string[],
): string {
  const fetch = loads.flatMap((load) => guarded(load.guard, load.fetch(end)));
  return `{
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
    ${steps.join("\n    ")}
  }`;
}
