import type { Caps } from "../../device/caps.ts";
import type { Tile } from "../../wgsl/gemm/form.ts";
import { tileOf, unitFor, unitsOf } from "./units.ts";

/** Which kernel of the portfolio, and how a product is cut for it. */
export interface Choice {
  /** "direct": registers only; "tiled": shares in shared memory; "matrices": the same on a matrix unit; "few rows": a workgroup to four columns of a matrix that lies along the sum. */
  readonly member: "direct" | "tiled" | "matrices" | "few rows";
  readonly tile: Tile;
  /** Parts of the sum that go to different workgroups. */
  readonly parts: number;
}

/** A product as the choice sees it. */
export interface Shape {
  readonly batches: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether b lies along the sum, four elements at a time. */
  readonly alongSum: boolean;
  /** Whether the sums of the rows of a are wanted, which only tiles of whole fours give. */
  readonly sums: boolean;
  /** Whether both operands are f16. */
  readonly halves: boolean;
}

interface Entry {
  readonly member: Choice["member"];
  readonly tile: Tile;
  /** Taken from this many workgroups on: below, a smaller tile keeps more of the device busy. */
  readonly from: number;
}

interface Table {
  readonly portfolio: readonly Entry[];
  /** By how the matrix lies; `least` as for the split. */
  readonly fewRows: { readonly alongSum: Choice["member"]; readonly other: Choice["member"]; readonly least: number };
  readonly split: { readonly groups: number; readonly least: number };
}

const tile = (rows: number, columns: number, down: number, across: number, depth = 0): Tile => ({ rows, columns, down, across, depth });

/** By kind of adapter; the first entry that makes enough workgroups is taken. `split`: the workgroups wanted, and the least steps worth one. */
const table = {
  software: {
    portfolio: [
      { member: "direct", tile: tile(8, 8, 8, 8), from: 4 },
      { member: "direct", tile: tile(4, 4, 8, 8), from: 0 },
    ],
    fewRows: { alongSum: "direct", other: "direct", least: 512 },
    split: { groups: 4, least: 512 },
  },
  hardware: {
    portfolio: [
      { member: "tiled", tile: tile(8, 8, 16, 16, 16), from: 216 },
      { member: "tiled", tile: tile(8, 8, 8, 8, 16), from: 64 },
      { member: "tiled", tile: tile(4, 4, 8, 8, 32), from: 0 },
    ],
    fewRows: { alongSum: "few rows", other: "direct", least: 32 },
    split: { groups: 128, least: 128 },
  },
} as const satisfies Record<string, Table>;

/** Below four rows each is a row of registers of its own. */
export const isFewRows = ({ m, sums }: Pick<Shape, "m" | "sums">): boolean => m < 4 && !sums;

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** Workgroups down and across. */
export const gridOf = (
  { member, tile: { rows, columns, down, across } }: Pick<Choice, "member" | "tile">,
  { m, n }: Pick<Shape, "m" | "n">,
) => (member === "few rows" ? ([1, ceilDiv(n, 4)] as const) : ([ceilDiv(m, rows * down), ceilDiv(n, columns * across)] as const));

/** Where a side has fewer results, half of a subgroup's share of a tile would be empty. */
const worthMatrices = 32;

function byMatrices(caps: Pick<Caps, "matrices">, { m, n, halves }: Shape): Pick<Choice, "member" | "tile"> | undefined {
  const unit = Math.min(m, n) >= worthMatrices ? unitFor(unitsOf(caps), halves) : undefined;
  return unit && { member: "matrices", tile: tileOf(unit) };
}

export type Choose = (caps: Pick<Caps, "software" | "matrices">, shape: Shape) => Choice;

/** The member of the portfolio for a shape on an adapter: by the table alone, so that the same shape gives the same bits. */
export const choose: Choose = (caps, shape) => {
  const { portfolio, fewRows: few, split } = table[caps.software ? "software" : "hardware"];
  const groupsOf = (entry: Pick<Choice, "member" | "tile">) => gridOf(entry, shape).reduce((a, b) => a * b, shape.batches);
  const isFew = isFewRows(shape);
  const { member, tile: chosen } = isFew
    ? { member: few[shape.alongSum ? "alongSum" : "other"], tile: tile(shape.m, 4, 1, 64) }
    : (byMatrices(caps, shape) ?? portfolio.find((entry) => groupsOf(entry) >= entry.from)!);
  const least = isFew ? few.least : split.least;
  const parts = Math.min(ceilDiv(split.groups, groupsOf({ member, tile: chosen })), Math.floor(shape.k / least));
  return { member, tile: chosen, parts: Math.max(1, parts) };
};
