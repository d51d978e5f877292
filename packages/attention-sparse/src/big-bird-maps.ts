import { blockMap, blocks, type Patterns } from "@x/ops";
import { type Device, ShapeError, type Tensor } from "@x/tensor";
import { behindSlots } from "./patterns.ts";
import { type BlockTable, bigBirdBlocks, etcBlocks, type RandomBlocksOptions } from "./random-blocks.ts";
import { recent } from "./recent.ts";

/** What random blocks are in a call. */
export type Random = "seeded" | "zeros" | "none" | BlockTable;

/** Block maps of a layer, by length and by what its random blocks are. Patterns are kept, because maps are kept with them. */
export class BigBirdMaps {
  readonly #options: Omit<RandomBlocksOptions, "length">;
  readonly #patterns = new Map<string, Patterns>();

  constructor(options: Omit<RandomBlocksOptions, "length">) {
    this.#options = options;
  }

  /** The first and the last block are global (ITC). */
  withGlobalBlocks(length: number, random: Random, device: Device): Tensor {
    const { blockSize: size } = this.#options;
    const count = Math.ceil(length / size);
    const patterns = this.#for(random, count, () => this.#inner(random, count).map((inner) => blocks(globalRows(count, inner), { size })));
    return blockMap(patterns, { queries: length, keys: length, device });
  }

  /** `slots` keys stand before the sequence, which every query sees (ETC). */
  behindTokens(slots: number, length: number, random: Random, device: Device): Tensor {
    const { blockSize: size } = this.#options;
    const count = Math.ceil(length / size);
    const patterns = this.#for(random, count, () =>
      this.#every(random, count).map((each) => behindSlots(blocks(windowRows(count, each), { size }), slots)),
    );
    return blockMap(patterns, { queries: length, keys: slots + length, device });
  }

  /** Random blocks of the rows between first and last, for each head or for all. */
  #inner(random: Random, count: number): BlockTable {
    const rows = Math.max(0, count - 2);
    if (random === "seeded") return bigBirdBlocks({ ...this.#options, length: count * this.#options.blockSize });
    return typeof random === "string" ? this.#alike(random, rows) : checked(random, rows, count);
  }

  /** Random blocks of every row. */
  #every(random: Random, count: number): BlockTable {
    if (random === "seeded") return etcBlocks({ ...this.#options, blocks: count });
    return typeof random === "string" ? this.#alike(random, count) : checked(random, count, count);
  }

  #alike(random: "zeros" | "none", rows: number): BlockTable {
    const { numRandomBlocks } = this.#options;
    return [Array.from({ length: rows }, () => new Array<number>(random === "zeros" ? numRandomBlocks : 0).fill(0))];
  }

  #for(random: Random, count: number, make: () => readonly ReturnType<typeof blocks>[]): Patterns {
    return recent(this.#patterns, `${typeof random === "string" ? random : "table"} ${count}`, () => {
      const heads = make();
      return heads.length === 1 ? heads[0]! : [heads];
    });
  }
}

/** Blocks that each block of queries sees: itself, its neighbours, the first and the last, each once, and its random ones as often as they are named. */
function globalRows(count: number, inner: BlockTable[number]): number[][] {
  const all = Array.from({ length: count }, (_, i) => i);
  return all.map((i) => (i === 0 || i === count - 1 ? all : [...new Set([0, count - 1, i - 1, i, i + 1]), ...inner[i - 1]!]));
}

/** Itself, its neighbours and its random ones. */
const windowRows = (count: number, each: BlockTable[number]): number[][] =>
  each.map((random, i) => [...[i - 1, i, i + 1].filter((block) => block >= 0 && block < count), ...random]);

function checked(table: BlockTable, rows: number, count: number): BlockTable {
  for (const [head, blocksOf] of table.entries()) {
    if (blocksOf.length !== rows)
      throw new ShapeError(
        `BigBirdAttention: randomBlocks has ${blocksOf.length} rows for head ${head}; a sequence of ${count} blocks has ${rows}.`,
      );
    const wrong = blocksOf.flat().find((block) => !Number.isInteger(block) || block < 0 || block >= count);
    if (wrong !== undefined)
      throw new ShapeError(
        `BigBirdAttention: randomBlocks names block ${wrong} for head ${head}; the sequence has blocks 0 to ${count - 1}.`,
      );
  }
  return table;
}
