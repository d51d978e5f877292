import { blockMapHeader as header } from "@x/ops";
import { blockSize } from "./blocking.ts";
import { lanes, ownRows, tile } from "./rowwise.ts";
import type { Traits } from "./scores.ts";

/** One side of the scores: queries of a head, or the keys that its heads share. */
export interface Side {
  /** What a workgroup owns a block of, what the rows of an invocation are called, and the number of heads. */
  readonly rows: "queries" | "keys";
  readonly own: "i" | "j";
  readonly head: "head" | "kv";
  readonly heads: "heads" | "kv_heads";
  /** What the block sees of the other side where no map says it. */
  readonly begin: (traits: Traits) => string;
  readonly end: (traits: Traits) => string;
}

export const ofQueries: Side = {
  ...{ rows: "queries", own: "i", head: "head", heads: "heads", begin: () => "0u" },
  end: ({ causal }) => (causal ? `u32(clamp(i32((block + 1u) * ${blockSize}u) + offset, 0, i32(p.keys)))` : "p.keys"),
};
export const ofKeys: Side = {
  ...{ rows: "keys", own: "j", head: "kv", heads: "kv_heads", end: () => "p.queries" },
  begin: ({ causal }) => (causal ? `u32(clamp(i32(block * ${blockSize}u) - offset, 0, i32(p.queries)))` : "0u"),
};

const word = (name: keyof typeof header): string => `map_at(${header[name]}u)`;

/**
 * How main begins: `block`, the head and `batch` of the workgroup, which of the slabs is its `share`, and the rows of the invocation, `i` or `j`.
 */
export const ownSource = (traits: Traits, { rows, own, head, heads }: Side): string => `
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = group_of(group);
  let blocks = (p.${rows} + ${blockSize - 1}u) / ${blockSize}u;
  let share = place % p.slabs;
  let block = place / p.slabs % blocks;
  let ${head} = place / p.slabs / blocks % p.${heads};
  let batch = place / p.slabs / blocks / p.${heads};
  if (batch >= p.batch) { return; }
  let offset = i32(p.keys) - i32(p.queries);
  let ${own} = block * ${blockSize}u + ${ownRows};${fitsSource(traits)}`;

/** The same for queries, and where their slab, their rows and the keys and values that they see begin. */
export const ownQueries = (traits: Traits, slab: number): string => `${ownSource(traits, ofQueries)}
  let slab = share * ${slab}u;
  let row = (batch * p.heads + head) * p.queries;
  let k_base = k_row(batch, head / p.group, 0u);
  let v_base = v_row(batch, head / p.group, 0u);`;

/** `fits`: whether the map was made for these lengths. Otherwise its places mean nothing: nothing is walked, and the result is NaN. */
export const fitsSource = ({ map }: Traits): string =>
  map ? `\n  let fits = ${word("queries")} == p.queries && ${word("keys")} == p.keys;` : "";

/** A number, NaN where the map does not fit. */
export const sound = ({ map }: Traits, number: string): string => (map ? `select(nan().x, ${number}, fits)` : number);

/** Does `body` for the runs of a list of the map: of so many lists of each pattern in this order, the one with this number. In it `run_begin`, `run_end`, `mask` and `more` are those of the run. */
export const runsSource = (order: "row" | "column" | "diagonal", lists: string, list: string, body: string): string => `if (fits) {
let pattern = map_at(${word("table")} + min(batch, ${word("batch")} - 1u) * ${word("heads")} + min(head, ${word("heads")} - 1u));
let list = ${word(`${order}Lists`)} + pattern * ${lists} + ${list};
let list_end = map_at(list + 1u);
for (var run = map_at(list); run < list_end; run += 4u) {
let run_begin = map_at(run);
let run_end = run_begin + map_at(run + 1u);
let more = log(f32(map_at(run + 2u)));
let mask = map_at(run + 3u);
${body}
}
}`;

/** Does `body` for the rows of the other side that the own block sees, `tile` at a time: `rows` from `first` on. */
export function walkSource(traits: Traits, side: Side, body: string): string {
  const tiles = `for (var first = begin; first < end; first += ${tile}u) {
let rows = min(end - first, ${tile}u);
${body}
}`;
  if (!traits.map) return `{ let begin = ${side.begin(traits)};\nlet end = ${side.end(traits)};\n${tiles} }`;
  const [order, lists, others] = side.rows === "queries" ? (["row", "rows", "keys"] as const) : (["column", "columns", "queries"] as const);
  return runsSource(
    order,
    word(lists),
    "block",
    `let begin = run_begin * ${blockSize}u;\nlet end = min(run_end * ${blockSize}u, p.${others});\n${tiles}`,
  );
}
