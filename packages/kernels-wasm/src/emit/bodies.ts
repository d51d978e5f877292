import type { Program } from "@x/tensor";
import type { LeafAccess } from "./collapse.ts";
import { evaluate, type Lanes } from "./evaluate.ts";
import { Graph, type Value } from "./graph.ts";
import { type Key, randomBlock, randomLanes } from "./philox.ts";
import { loadLanes, loadVector, type StoredType, storeLanes, storeVector, widths } from "./storage.ts";

/** The locals that a loop keeps while it runs over a row. */
export interface Row {
  readonly program: Program;
  readonly access: readonly LeafAccess[];
  /** Position of the next element, u32. */
  readonly position: number;
  /** Of the next element, for contiguous and strided leaves. */
  readonly leaves: readonly number[];
  /** Distance of elements in bytes, for strided leaves. */
  readonly strides: readonly (number | undefined)[];
  /** What broadcast leaves hold in all lanes, and the four words of keys. */
  readonly held: readonly (readonly number[])[];
  /** Whether elementary functions round products and sums once. */
  readonly fused: boolean;
  readonly outputs: readonly number[];
  /** In a tail: the element that lane 1, 2, 3 stands for; lanes beyond the end repeat the last element. */
  readonly tail: readonly [number, number, number];
}

type Place = Pick<Lanes, "position" | "random" | "store"> & { moving(leaf: number, dtype: StoredType): Value };

function lanesOf(g: Graph, { program, access, held }: Row, place: Place): Lanes {
  return {
    ...place,
    leaf: (leaf) => {
      if (access[leaf] === "broadcast") return g.local(held[leaf]![0]!, "v128");
      return place.moving(leaf, program.leaves[leaf] as StoredType);
    },
  };
}

const keyOf = (g: Graph, row: Row, leaf: number): Key => row.held[leaf]!.map((local) => g.local(local, "v128")) as unknown as Key;
const dtypeOf = (row: Row, output: number): StoredType => row.program.outputs[output]!.dtype as StoredType;

/** `count` vectors of four elements that begin at the row's next element. Four vectors must begin at a multiple of four if they draw. */
export function vectorBody(row: Row, count: number): Graph {
  const g = new Graph(row.fused);
  const start = (): Value => g.op("i32x4.splat", g.local(row.position, "i32"));
  for (let vector = 0; vector < count; vector++) {
    const first = vector * 4;
    const position = (): Value => g.op("i32x4.add", start(), g.words([first, first + 1, first + 2, first + 3]));
    const moving = (leaf: number, dtype: StoredType): Value => {
      const address = g.local(row.leaves[leaf]!, "i32");
      const stride = row.strides[leaf];
      if (stride === undefined) return loadVector(g, dtype, address, first * widths[dtype]);
      const step = g.local(stride, "i32");
      const element = (index: number): Value => g.op("i32.add", address, g.op("i32.mul", step, g.scalar(index)));
      return loadLanes(
        g,
        dtype,
        [0, 1, 2, 3].map((lane) => element(first + lane)),
      );
    };
    const random = (leaf: number, ordinal: number): Value => {
      const key = keyOf(g, row, leaf);
      return count === 4 ? randomBlock(g, start(), vector, ordinal, key) : randomLanes(g, position(), ordinal, key);
    };
    const store = (output: number, value: Value): void => {
      const dtype = dtypeOf(row, output);
      storeVector(g, dtype, g.local(row.outputs[output]!, "i32"), first * widths[dtype], value);
    };
    evaluate(g, row.program, lanesOf(g, row, { position, moving, random, store }));
  }
  return g;
}

/** One to four elements, loaded and stored lane by lane: the same instructions as a vector's, so the same bits. */
export function tailBody(row: Row): Graph {
  const g = new Graph(row.fused);
  const elements = row.tail.map((local) => g.local(local, "i32"));
  const addresses = (pointer: number, step: Value): Value[] => {
    const base = g.local(pointer, "i32");
    return [base, ...elements.map((element) => g.op("i32.add", base, g.op("i32.mul", element, step)))];
  };
  const moving = (leaf: number, dtype: StoredType): Value => {
    const stride = row.strides[leaf];
    return loadLanes(g, dtype, addresses(row.leaves[leaf]!, stride === undefined ? g.scalar(widths[dtype]) : g.local(stride, "i32")));
  };
  const position = (): Value => {
    const offsets = elements.reduce((vector, element, index) => g.with("i32x4.replace_lane", [index + 1], vector, element), g.i32(0));
    return g.op("i32x4.add", g.op("i32x4.splat", g.local(row.position, "i32")), offsets);
  };
  const random = (leaf: number, ordinal: number): Value => randomLanes(g, position(), ordinal, keyOf(g, row, leaf));
  const store = (output: number, value: Value): void => {
    const dtype = dtypeOf(row, output);
    storeLanes(g, dtype, addresses(row.outputs[output]!, g.scalar(widths[dtype])), value);
  };
  evaluate(g, row.program, lanesOf(g, row, { position, moving, random, store }));
  return g;
}
