import { attention, attentionBackward } from "@x/ops";
import { f32, u32 } from "../../device/launch.ts";
import { webgpuKernel } from "../kernel.ts";
import type { Place, Planner, Strided } from "../planner.ts";
import { blockSize, slabOf, slabsOf } from "./blocking.ts";
import { forwardSource } from "./forward.ts";
import { gradientOfKeys, gradientOfQueries } from "./gradients.ts";
import { type Rows, rowsIn, rowsOut, together, vectorsOf } from "./rows.ts";
import { statsSource } from "./stats.ts";

/** Extents of attention, and its parameters in all launches. */
export function extentsOf(p: Planner, scale: number) {
  const [q, k, v] = [p.spec("q").shape, p.spec("k").shape, p.spec("v").shape];
  const [batch, heads, queries, dim] = q as [number, number, number, number];
  const [kvHeads, keys, valueDim] = [k[1]!, k[2]!, v[3]!];
  const [keyVectors, valueVectors] = [vectorsOf(dim), vectorsOf(valueDim)];
  const params = {
    ...{ batch: u32(batch), heads: u32(heads), kv_heads: u32(kvHeads), group: u32(heads / kvHeads) },
    ...{ queries: u32(queries), keys: u32(keys), scale: f32(scale), key_vectors: u32(keyVectors), value_vectors: u32(valueVectors) },
  };
  return { batch, heads, kvHeads, queries, keys, dim, valueDim, keyVectors, valueVectors, params };
}
export type Extents = ReturnType<typeof extentsOf>;

const blocksOf = (rows: number): number => Math.ceil(rows / blockSize);

/** Where rows of an output are computed: in place where vectors fit, for any dtype; else as single numbers. */
const rowsTarget = (p: Planner, name: string, dim: number): Place => (dim % 4 === 0 ? p.target(name) : p.output(name));

/** What says which pairs are seen. */
export const maskOf = (p: Planner): Record<string, Place> => (p.has("keyMask") ? { key_mask: p.input("keyMask") } : {});

/** What these kernels leave to the reference so far. */
function plain(
  { map, bias }: { readonly map: unknown; readonly bias: unknown },
  { softcap, dropout }: { readonly softcap: number; readonly dropout: number },
): true | string {
  const asked = Object.entries({ map: map !== undefined, bias: bias !== undefined, softcap: softcap !== 0, dropout: dropout !== 0 });
  const names = asked.flatMap(([name, is]) => (is ? [name] : []));
  return names.length === 0 || `webgpu has no kernel for attention with ${names.join(" and ")} yet`;
}

export const attentionKernel = webgpuKernel(attention, {
  accepts: ({ specs, attrs }) => plain(specs, attrs),
  layout: { q: "strided", k: "strided", v: "strided" },
  plan(p, { attrs: { scale, causal } }) {
    const size = extentsOf(p, scale);
    const lse = p.wanted("lse") ?? p.scratch(size.batch * size.heads * size.queries);
    launchForward(p, size, { causal, keyMask: p.has("keyMask"), lengths: false }, lse);
  },
});

export function launchForward(p: Planner, size: Extents, traits: Parameters<typeof forwardSource>[1], lse: Place): void {
  const { batch, heads, queries, valueDim, valueVectors, params } = size;
  const slabs = slabsOf(valueVectors);
  const slab = slabOf(valueVectors, slabs);
  const given = together({ q: rowsIn("q", p.strided("q")), k: rowsIn("k", p.strided("k")), v: rowsIn("v", p.strided("v"), slab) });
  const written = together({ o: rowsOut("o", rowsTarget(p, "o", valueDim), valueDim) });
  p.run({
    code: given.source + written.source + forwardSource(slab, traits),
    params: { ...given.params, ...written.params, ...params, slabs: u32(slabs) },
    reads: { ...given.uses, ...maskOf(p), ...(traits.lengths && { lengths: p.input("lengths") }) },
    writes: { ...written.uses, lse },
    groups: batch * heads * blocksOf(queries) * slabs,
  });
}

export const attentionBackwardKernel = webgpuKernel(attentionBackward, {
  accepts: ({ specs, attrs }) => plain(specs, attrs),
  layout: { q: "strided", k: "strided", v: "strided", dO: "strided" },
  plan(p, { specs, attrs: { scale, causal } }) {
    const size = extentsOf(p, scale);
    const traits = { causal, keyMask: specs.keyMask !== undefined, lengths: false };
    const g = specs.dO ? p.strided("dO") : zeros(p, specs.o.shape);
    const stats = launchStats(p, size, g);
    launchQueries(p, size, traits, g, stats);
    launchKeys(p, size, traits, g, stats);
  },
});

type Traits = Parameters<typeof gradientOfQueries>[0];

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
const rowsOf = (p: Planner, g: Strided, slabs: { q?: number; k?: number; g?: number }): Record<string, Rows> => ({
  q: rowsIn("q", p.strided("q"), slabs.q),
  k: rowsIn("k", p.strided("k"), slabs.k),
  v: rowsIn("v", p.strided("v")),
  g: rowsIn("g", g, slabs.g),
});

function launchQueries(p: Planner, size: Extents, traits: Traits, g: Strided, stats: Place): void {
  const { batch, heads, queries, dim, keyVectors, params } = size;
  const slabs = slabsOf(keyVectors);
  const slab = slabOf(keyVectors, slabs);
  const given = together(rowsOf(p, g, { k: slab }));
  const written = together({ dq: rowsOut("dq", rowsTarget(p, "dq", dim), dim) });
  p.run({
    label: "attention gradient of queries",
    code: given.source + written.source + gradientOfQueries(traits, slab),
    params: { ...given.params, ...written.params, ...params, slabs: u32(slabs) },
    reads: { ...given.uses, stats, ...maskOf(p) },
    writes: written.uses,
    groups: batch * heads * blocksOf(queries) * slabs,
  });
}

function launchKeys(p: Planner, size: Extents, traits: Traits, g: Strided, stats: Place): void {
  const { batch, kvHeads, keys, dim, valueDim, keyVectors, valueVectors, params } = size;
  const slabs = slabsOf(Math.max(keyVectors, valueVectors));
  const slab = { k: slabOf(keyVectors, slabs), v: slabOf(valueVectors, slabs) };
  const given = together(rowsOf(p, g, { q: slab.k, g: slab.v }));
  const written = together({
    dk: rowsOut("dk", rowsTarget(p, "dk", dim), dim),
    dv: rowsOut("dv", rowsTarget(p, "dv", valueDim), valueDim),
  });
  p.run({
    label: "attention gradient of keys",
    code: given.source + written.source + gradientOfKeys(traits, slab),
    params: { ...given.params, ...written.params, ...params, slabs: u32(slabs) },
    reads: { ...given.uses, stats, ...maskOf(p) },
    writes: written.uses,
    groups: batch * kvHeads * blocksOf(keys) * slabs,
  });
}
