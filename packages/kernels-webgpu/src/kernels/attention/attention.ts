import { attention } from "@x/ops";
import { u32 } from "../../device/launch.ts";
import { webgpuKernel } from "../kernel.ts";
import { slabOf, slabsOf } from "./blocking.ts";
import { blocksOf, extentsOf, rowsTarget } from "./extents.ts";
import { forwardSource } from "./forward.ts";
import { rowsIn, rowsOut, together } from "./rows.ts";
import { sightOf } from "./sight.ts";

export const attentionKernel = webgpuKernel(attention, {
  layout: { q: "strided", k: "strided", v: "strided" },
  plan(p, { attrs }) {
    const size = extentsOf(p);
    const { traits, reads, params } = sightOf(p, attrs);
    const { batch, heads, queries, valueDim, valueVectors } = size;
    const slabs = slabsOf(valueVectors);
    const slab = slabOf(valueVectors, slabs);
    const given = together({ q: rowsIn("q", p.strided("q")), k: rowsIn("k", p.strided("k")), v: rowsIn("v", p.strided("v"), slab) });
    const written = together({ o: rowsOut("o", rowsTarget(p, "o", valueDim), valueDim) });
    p.run({
      code: given.source + written.source + forwardSource(traits, slab),
      params: { ...given.params, ...written.params, ...size.params, ...params, slabs: u32(slabs) },
      reads: { ...given.uses, ...reads },
      writes: { ...written.uses, lse: p.wanted("lse") ?? p.scratch(batch * heads * queries) },
      groups: batch * heads * blocksOf(queries) * slabs,
    });
  },
});
