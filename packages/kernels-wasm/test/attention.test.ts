import { blockMapWords, blocks, causal, dilated, global, or, type Pattern, window } from "@x/ops";
import { randomBits } from "@x/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { Bench, expectClose, values } from "./harness.ts";

const bench = new Bench({ threads: 1 });
afterAll(() => bench.close());

interface Case {
  batch?: number;
  heads?: number;
  kvHeads?: number;
  queries: number;
  keys: number;
  dim: number;
  valueDim?: number;
  causal?: boolean;
  mask?: boolean;
  lengths?: number[];
  /** Of the bias table. */
  reach?: number;
  softcap?: number;
  dropout?: number;
  pattern?: Pattern;
  /** Inputs are [batch, rows, heads, dim] seen as [batch, heads, rows, dim]. */
  interleaved?: boolean;
  scoreScale?: number;
  tile?: number;
  parts?: number;
}

/** Strides of [batch, heads, rows, dim] in one of the two layouts. */
const stridesOf = (heads: number, rows: number, dim: number, interleaved = false) =>
  interleaved ? { batch: rows * heads * dim, head: dim, row: heads * dim } : { batch: heads * rows * dim, head: rows * dim, row: dim };

function setup(c: Case) {
  const { batch = 2, heads = 2, kvHeads = heads, queries, keys, dim, valueDim = dim } = c;
  const layout = {
    q: stridesOf(heads, queries, dim, c.interleaved),
    k: stridesOf(kvHeads, keys, dim, c.interleaved),
    v: stridesOf(kvHeads, keys, valueDim, c.interleaved),
  };
  const q = values(batch * heads * queries * dim, 1, c.scoreScale ?? 2);
  const k = values(batch * kvHeads * keys * dim, 2, c.scoreScale ?? 2);
  const v = values(batch * kvHeads * keys * valueDim, 3);
  const bias = c.reach === undefined ? undefined : values(heads * (2 * c.reach + 1), 4);
  const map = c.pattern && blockMapWords(c.pattern, { queries, keys });
  const mask = c.mask ? Uint8Array.from(values(batch * keys, 5), (x) => (x > -0.3 ? 1 : 0)) : undefined;
  if (c.lengths) {
    // What lies beyond a length is stale memory.
    c.lengths.forEach((length, b) => {
      for (let h = 0; h < kvHeads; h++)
        for (let j = length; j < keys; j++) {
          for (let d = 0; d < dim; d++) k[b * layout.k.batch + h * layout.k.head + j * layout.k.row + d] = Number.NaN;
          for (let d = 0; d < valueDim; d++) v[b * layout.v.batch + h * layout.v.head + j * layout.v.row + d] = Number.NaN;
        }
    });
  }
  return { ...c, batch, heads, kvHeads, queries, keys, dim, valueDim, layout, q, k, v, bias, map, mask, scale: 1 / Math.sqrt(dim) };
}
type Setup = ReturnType<typeof setup>;

const key = Uint32Array.of(5, 6, 7, 8);

/** One row: the probability of each key, the derivative of the cap, and what dropout multiplies by. */
function rowOf(s: Setup, b: number, h: number, i: number) {
  const { heads, kvHeads, queries, keys, dim, layout, softcap = 0, dropout = 0, reach = 0 } = s;
  const g = Math.floor(h / (heads / kvHeads));
  const length = s.lengths?.[b] ?? keys;
  const position = i + length - queries;
  const qAt = b * layout.q.batch + h * layout.q.head + i * layout.q.row;
  const row = { times: [] as number[], scores: [] as number[], slope: [] as number[], kept: [] as number[] };
  for (let j = 0; j < length; j++) {
    const kAt = b * layout.k.batch + g * layout.k.head + j * layout.k.row;
    let sum = 0;
    for (let d = 0; d < dim; d++) sum += s.q[qAt + d]! * s.k[kAt + d]!;
    const bent = softcap ? Math.tanh((sum * s.scale) / softcap) : 0;
    const entry = Math.min(reach, Math.max(-reach, j - position)) + reach;
    const hidden = (s.causal && j > position) || (s.mask && !s.mask[b * keys + j]);
    row.times.push(hidden ? 0 : (s.pattern?.times(position, j) ?? 1));
    row.scores.push((softcap ? softcap * bent : sum * s.scale) + (s.bias?.[h * (2 * reach + 1) + entry] ?? 0));
    row.slope.push(1 - bent * bent);
    const uniform = (randomBits(key, 3, ((b * heads + h) * queries + i) * keys + j) >>> 8) * 2 ** -24;
    row.kept.push(dropout === 0 ? 1 : uniform < Math.fround(dropout) ? 0 : 1 / (1 - dropout));
  }
  return { ...row, g, position };
}

/** o, lse and the gradients in f64, by the formulas of the unfused form. */
function reference(s: Setup, grad: Float32Array, dlse: Float32Array) {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim, layout, reach = 0 } = s;
  const o = new Float64Array(batch * heads * queries * valueDim);
  const lse = new Float64Array(batch * heads * queries);
  const dq = new Float64Array(batch * heads * queries * dim);
  const dk = new Float64Array(batch * kvHeads * keys * dim);
  const dv = new Float64Array(batch * kvHeads * keys * valueDim);
  const dbias = new Float64Array(heads * (2 * reach + 1));
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < queries; i++) {
        const { times, scores, slope, kept, g, position } = rowOf(s, b, h, i);
        const at = (name: "q" | "k" | "v", head: number, row: number, d: number) =>
          s[name][b * layout[name].batch + head * layout[name].head + row * layout[name].row + d]!;
        const row = (b * heads + h) * queries + i;
        const top = Math.max(...scores.filter((_, j) => times[j]! > 0), Number.NEGATIVE_INFINITY);
        if (top === Number.NEGATIVE_INFINITY) {
          lse[row] = Number.POSITIVE_INFINITY;
          continue;
        }
        lse[row] = top + Math.log(scores.reduce((sum, x, j) => sum + (times[j]! > 0 ? times[j]! * Math.exp(x - top) : 0), 0));
        const p = scores.map((x, j) => (times[j]! > 0 ? times[j]! * Math.exp(x - lse[row]!) : 0));
        const dp = p.map((_, j) => {
          let sum = 0;
          for (let d = 0; d < valueDim; d++) sum += grad[row * valueDim + d]! * at("v", g, j, d);
          return sum * kept[j]!;
        });
        const mean = p.reduce((sum, x, j) => (x === 0 ? sum : sum + x * dp[j]!), 0) - dlse[row]!;
        p.forEach((x, j) => {
          if (x === 0) return;
          const db = x * (dp[j]! - mean);
          const ds = db * slope[j]! * s.scale;
          const at0 = (b * kvHeads + g) * keys + j;
          dbias[h * (2 * reach + 1) + Math.min(reach, Math.max(-reach, j - position)) + reach]! += db;
          for (let d = 0; d < valueDim; d++) {
            o[row * valueDim + d]! += x * kept[j]! * at("v", g, j, d);
            dv[at0 * valueDim + d]! += x * kept[j]! * grad[row * valueDim + d]!;
          }
          for (let d = 0; d < dim; d++) {
            dq[row * dim + d]! += ds * at("k", g, j, d);
            dk[at0 * dim + d]! += ds * at("q", h, i, d);
          }
        });
      }
  return { o, lse, dq, dk, dv, dbias };
}

function common(on: Bench, s: Setup) {
  const { heads, kvHeads, queries, keys, dim, valueDim, scale, layout } = s;
  return {
    ...{ q: on.put(s.q), k: on.put(s.k), v: on.put(s.v), heads, kvHeads, queries, keys, dim, valueDim, scale, causal: s.causal ? 1 : 0 },
    ...{ qBatch: layout.q.batch, qHead: layout.q.head, qRow: layout.q.row, kBatch: layout.k.batch, kHead: layout.k.head },
    ...{ kRow: layout.k.row, vBatch: layout.v.batch, vHead: layout.v.head, vRow: layout.v.row },
    lengths: s.lengths ? on.put(Int32Array.from(s.lengths)) : undefined,
  };
}

function run(on: Bench, s: Setup, grad: Float32Array, dlse: Float32Array) {
  const { batch, heads, kvHeads, queries, keys, dim, valueDim, reach = 0, softcap = 0, dropout = 0, tile = s.map ? 64 : 24, parts = 2 } = s;
  const rows = batch * heads * queries;
  const shared = {
    ...common(on, s),
    keyMask: s.mask ? on.put(s.mask) : undefined,
    bias: s.bias ? on.put(s.bias) : undefined,
    map: s.map ? on.put(new Int32Array(s.map.buffer)) : undefined,
    ...{ reach, softcap },
    ...(dropout > 0 && {
      ...{
        key: on.put(new Int32Array(key.buffer)),
        ordinal: 3,
        threshold: Math.ceil(Math.fround(dropout) * 2 ** 24),
        kept: 1 / (1 - dropout),
      },
    }),
  };
  const [o, lse, delta] = [on.out(rows * valueDim), on.out(rows), on.out(rows)];
  const [dq, dk, dv] = [on.out(rows * dim), on.out(batch * kvHeads * keys * dim), on.out(batch * kvHeads * keys * valueDim)];
  const units = batch * heads * Math.ceil(queries / tile);
  on.run("attention", { ...shared, o, lse, qTile: tile }, units);
  const up = on.put(grad);
  on.run("attention_delta", { delta, o, grad: up, dlse: on.put(dlse), valueDim }, rows);
  const [partSize, dqs] = [rows * dim, on.out(parts * rows * dim)];
  on.run("attention_grad", { ...shared, dq: dqs, dk, dv, grad: up, lse, delta, kTile: tile, parts, partSize }, batch * kvHeads * parts);
  on.run("attention_grad_sum", { dq, dqs, dim, parts, partSize }, rows);
  const diagonals = Math.ceil(queries / 64) + Math.ceil(keys / 64) - 1;
  const [partial, dbias] = [on.out(heads * diagonals * 128), on.out(heads * (2 * reach + 1))];
  on.run("attention_grad_bias", { ...shared, partial, grad: up, lse, delta, batch }, heads * diagonals);
  on.run("attention_bias_sum", { dbias, partial, map: shared.map, queries, keys, reach }, heads);
  return {
    dbias: on.f32(dbias, heads * (2 * reach + 1)),
    ...{ o: on.f32(o, rows * valueDim), lse: on.f32(lse, rows), dq: on.f32(dq, rows * dim) },
    ...{ dk: on.f32(dk, batch * kvHeads * keys * dim), dv: on.f32(dv, batch * kvHeads * keys * valueDim) },
  };
}

function check(c: Case) {
  const s = setup(c);
  const rows = s.batch * s.heads * s.queries;
  const [grad, dlse] = [values(rows * s.valueDim, 6), values(rows, 7)];
  const actual = run(bench, s, grad, dlse);
  const expected = reference(s, grad, dlse);
  for (const name of ["o", "lse", "dq", "dk", "dv"] as const) expectClose(actual[name], expected[name], 1e-5, name);
  if (s.reach !== undefined) expectClose(actual.dbias, expected.dbias, 1e-5, "dbias");
  return actual;
}

describe("flash attention", () => {
  const cases: Record<string, Case> = {
    "one of each": { queries: 1, keys: 1, dim: 1 },
    "off the tiles": { queries: 29, keys: 101, dim: 13, valueDim: 7 },
    "the tile's edges": { queries: 24, keys: 48, dim: 8 },
    "just past the edges": { queries: 25, keys: 49, dim: 9 },
    causal: { queries: 65, keys: 65, dim: 16, causal: true, tile: 48 },
    "causal, fewer queries than keys": { queries: 2, keys: 5, dim: 4, causal: true },
    "causal, more queries than keys": { queries: 50, keys: 20, dim: 4, causal: true },
    "grouped heads": { heads: 6, kvHeads: 2, queries: 10, keys: 12, dim: 5, causal: true },
    "one key head": { heads: 4, kvHeads: 1, queries: 31, keys: 53, dim: 40, valueDim: 24 },
    "padding mask": { queries: 17, keys: 60, dim: 8, mask: true },
    "padding mask and causal": { queries: 60, keys: 60, dim: 8, mask: true, causal: true },
    "lengths with stale memory": { batch: 3, queries: 4, keys: 70, dim: 8, lengths: [70, 5, 0], causal: true },
    "lengths, not causal": { batch: 2, queries: 4, keys: 70, dim: 8, lengths: [33, 1] },
    bias: { queries: 27, keys: 33, dim: 8, reach: 40, causal: true },
    "bias past its ends, over many blocks": { queries: 150, keys: 201, dim: 8, reach: 70, heads: 4, kvHeads: 2 },
    "bias, causal, many blocks": { queries: 201, keys: 150, dim: 8, reach: 149, causal: true, tile: 48 },
    "soft cap": { queries: 70, keys: 55, dim: 8, softcap: 0.4, causal: true, tile: 48 },
    "window over many blocks": { queries: 300, keys: 300, dim: 8, pattern: window(100, 20) },
    "window, fewer queries": { queries: 70, keys: 211, dim: 8, pattern: window(100) },
    "window, fewer keys": { queries: 211, keys: 70, dim: 8, pattern: window(10) },
    "global and dilated": { queries: 200, keys: 200, dim: 8, heads: 4, kvHeads: 2, pattern: or(dilated(7, 11), global([0, 130])) },
    "blocks that repeat": {
      queries: 190,
      keys: 190,
      dim: 8,
      pattern: blocks(
        [
          [0, 0, 2],
          [1, 1, 1],
          [2, 0, 0],
        ],
        { size: 64 },
      ),
      reach: 80,
    },
    "blocks that repeat in part": {
      queries: 100,
      keys: 100,
      dim: 8,
      pattern: blocks([[0, 0, 2], [1, 1, 1], [], [0]], { size: 30 }),
      reach: 20,
    },
    "a map and a padding mask": { queries: 100, keys: 140, dim: 8, pattern: causal(), mask: true },
    dropout: { queries: 101, keys: 75, dim: 8, dropout: 0.3, heads: 4, kvHeads: 2, reach: 30 },
    "dropout, a map, a soft cap": { queries: 150, keys: 150, dim: 8, dropout: 0.3, pattern: window(70), softcap: 1, reach: 30 },
    "heads beside one another": { heads: 3, queries: 30, keys: 50, dim: 8, interleaved: true },
    "the widest head": { batch: 1, heads: 1, queries: 5, keys: 7, dim: 256, causal: true },
  };
  for (const [name, c] of Object.entries(cases)) test(name, () => void check(c));

  test("rows that see nothing are 0, with an infinite log-sum-exp and no gradient", () => {
    const { o, lse, dq } = check({ batch: 1, heads: 1, queries: 5, keys: 2, dim: 3, causal: true });
    expect([...lse.slice(0, 3)]).toEqual(Array(3).fill(Number.POSITIVE_INFINITY));
    expect([...o.slice(0, 9), ...dq.slice(0, 9)].every((x) => x === 0)).toBe(true);
  });
  test("scores of 1e4 stay finite", () => {
    const { o, dq } = check({ batch: 1, heads: 1, queries: 6, keys: 9, dim: 4, scoreScale: 140 });
    expect([...o, ...dq].every(Number.isFinite)).toBe(true);
  });
  test("two threads give the same bits", () => {
    const s = setup({ heads: 4, kvHeads: 2, queries: 70, keys: 70, dim: 16, causal: true });
    const [grad, dlse] = [values(8 * 70 * 16, 6), values(8 * 70, 7)];
    const pair = new Bench({ threads: 2 });
    expect(run(pair, s, grad, dlse)).toEqual(run(bench, s, grad, dlse));
    pair.close();
  });
});

describe("attention over a cache", () => {
  for (const splits of [1, 2, 7, 20])
    for (const queries of [1, 3])
      test(`${splits} splits, ${queries} queries`, () => {
        const s = setup({ batch: 3, heads: 6, kvHeads: 2, queries, keys: 120, dim: 20, valueDim: 12, causal: true, lengths: [120, 60, 3] });
        const rows = s.batch * s.heads * queries;
        const expected = reference(s, new Float32Array(rows * s.valueDim), new Float32Array(rows));
        const [partial, partialLse] = [bench.out(rows * splits * s.valueDim), bench.out(rows * splits)];
        const [o, lse] = [bench.out(rows * s.valueDim), bench.out(rows)];
        const chunk = Math.ceil(120 / Math.min(splits, 7));
        const args = { ...common(bench, s), lengths: bench.put(Int32Array.from(s.lengths!)), softcap: 0, window: 0, ring: 0 };
        bench.run("attention_decode", { ...args, o: partial, lse: partialLse, splits, chunk }, s.batch * s.kvHeads * splits);
        bench.run("attention_combine", { o, lse, partial, partialLse, splits, valueDim: s.valueDim }, rows);
        expectClose(bench.f32(o, rows * s.valueDim), expected.o, 2e-6, "o");
        expectClose(bench.f32(lse, rows), expected.lse, 2e-6, "lse");
      });
});
