import { attentionBackward } from "@x/ops";
import { u32 } from "../../device/launch.ts";
import { webgpuKernel } from "../kernel.ts";
import { dense, type Place, type Planner, type Strided } from "../planner.ts";
import { diagonalSource, distances, tableSource } from "./bias-gradient.ts";
import { slabOf, slabsOf } from "./blocking.ts";
import { blocksOf, type Extents, extentsOf, rowsTarget } from "./extents.ts";
import { gradientOfKeys } from "./key-gradient.ts";
import { gradientOfQueries } from "./query-gradient.ts";
import { type Rows, rowsIn, rowsOut, together } from "./rows.ts";
import { type Sight, sightOf } from "./sight.ts";
import { statsSource } from "./stats.ts";

/** What the launches of the gradients read besides extents: dO, and log-sum-exp and delta of each row. */
interface Upstream {
  readonly g: Strided;
  readonly stats: Place;
}

export const attentionBackwardKernel = webgpuKernel(attentionBackward, {
  layout: { q: "strided", k: "strided", v: "strided", dO: "strided" },
  plan(p, { specs, attrs }) {
    const size = extentsOf(p);
    const g = specs.dO ? p.strided("dO") : zeros(p, specs.o.shape);
    const upstream = { g, stats: launchStats(p, size, g) };
    const sight = sightOf(p, attrs);
    launchQueries(p, size, sight, upstream);
    launchKeys(p, size, sight, upstream);
    if (attrs.biasGradient) launchBias(p, size, sight, upstream);
  },
});

/** A gradient that is absent: a row of zeros for all. */
function zeros(p: Planner, shape: readonly number[]): Strided {
  const row = p.scratch(shape[3]!);
  p.fill(row, shape[3]!);
  return { ...row, offset: 0, strides: [0, 0, 0, 1], shape };
}

function launchStats(p: Planner, { batch, heads, queries, params }: Extents, g: Strided): Place {
  const rows = batch * heads * queries;
  const stats = p.scratch(2 * rows);
  const given = together({ o: rowsIn("o", p.strided("o")), g: rowsIn("g", g) });
  const dlse = p.has("dLse");
  p.run({
    label: "attention stats",
    code: given.source + statsSource(dlse),
    params: { ...given.params, ...params, rows: u32(rows) },
    reads: { ...given.uses, lse: p.input("lse"), ...(dlse && { dlse: p.input("dLse") }) },
    writes: { stats },
    groups: Math.ceil(rows / 64),
  });
  return stats;
}

/** q, k, v and dO, where one launch reads so many vectors of them at a time. */
const rowsOf = (p: Planner, g: Strided, slabs: { q?: number; k?: number; g?: number } = {}): Record<string, Rows> => ({
  q: rowsIn("q", p.strided("q"), slabs.q),
  k: rowsIn("k", p.strided("k"), slabs.k),
  v: rowsIn("v", p.strided("v")),
  g: rowsIn("g", g, slabs.g),
});

function launchQueries(p: Planner, size: Extents, { traits, reads, params }: Sight, { g, stats }: Upstream): void {
  const { batch, heads, queries, dim, keyVectors } = size;
  const slabs = slabsOf(keyVectors);
  const slab = slabOf(keyVectors, slabs);
  const given = together(rowsOf(p, g, { k: slab }));
  const written = together({ dq: rowsOut("dq", rowsTarget(p, "dq", dim), dim) });
  p.run({
    label: "attention gradient of queries",
    code: given.source + written.source + gradientOfQueries(traits, slab),
    params: { ...given.params, ...written.params, ...size.params, ...params, slabs: u32(slabs) },
    reads: { ...given.uses, stats, ...reads },
    writes: written.uses,
    groups: batch * heads * blocksOf(queries) * slabs,
  });
}

function launchKeys(p: Planner, size: Extents, { traits, reads, params }: Sight, { g, stats }: Upstream): void {
  const { batch, kvHeads, keys, dim, valueDim, keyVectors, valueVectors } = size;
  const slabs = slabsOf(Math.max(keyVectors, valueVectors));
  const slab = { k: slabOf(keyVectors, slabs), v: slabOf(valueVectors, slabs) };
  const given = together(rowsOf(p, g, { q: slab.k, g: slab.v }));
  const most = p.caps.maxStorageBuffersPerShaderStage;
  const apart = Object.keys({ ...given.uses, stats, ...reads }).length + 2 <= most;
  const { dk, dv, begin } = apart ? { dk: rowsTarget(p, "dk", dim), dv: rowsTarget(p, "dv", valueDim), begin: undefined } : inOne(p, size);
  const written = together({ dk: rowsOut("dk", dk, dim), dv: rowsOut("dv", dv, valueDim, begin) });
  p.run({
    label: "attention gradient of keys",
    code: given.source + written.source + gradientOfKeys(traits, slab),
    params: { ...given.params, ...written.params, ...size.params, ...params, slabs: u32(slabs) },
    reads: { ...given.uses, stats, ...reads },
    writes: written.uses,
    groups: batch * kvHeads * blocksOf(keys) * slabs,
  });
  if (begin === undefined) return;
  p.convert(dense(dk, [batch, kvHeads, keys, dim]), p.target("dk"));
  p.convert({ ...dense(dv, [batch, kvHeads, keys, valueDim]), offset: begin }, p.target("dv"));
}

/** dk and dv behind one another: one binding where there are too few for both. */
function inOne(p: Planner, { batch, kvHeads, keys, dim, valueDim }: Extents) {
  const rows = batch * kvHeads * keys;
  const begin = Math.ceil((rows * dim) / 4) * 4;
  const both = p.scratch(begin + rows * valueDim);
  return { dk: both, dv: both, begin };
}

function launchBias(p: Planner, size: Extents, { traits, reads, params }: Sight, { g, stats }: Upstream): void {
  const { batch, heads, queries, keys } = size;
  const [table, entries] = [p.output("dBias"), heads * p.spec("bias").shape[1]!];
  if (queries === 0 || keys === 0) {
    p.fill(table, entries);
    return;
  }
  const diagonals = blocksOf(queries) + blocksOf(keys) - 1;
  const partial = p.scratch(batch * heads * diagonals * distances);
  const given = together(rowsOf(p, g));
  const all = { ...size.params, ...params, diagonals: u32(diagonals) };
  p.run({
    label: "attention gradient of the bias",
    code: given.source + diagonalSource(traits),
    params: { ...given.params, ...all },
    reads: { ...given.uses, stats, ...reads },
    writes: { partial },
    groups: batch * heads * diagonals,
  });
  p.run({
    label: "attention table of biases",
    code: tableSource,
    params: all,
    reads: { partial },
    writes: { table },
    groups: Math.ceil(entries / 64),
  });
}
