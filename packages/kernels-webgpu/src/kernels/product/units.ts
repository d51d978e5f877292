import type { Caps } from "../../device/caps.ts";
import type { Tile } from "../../wgsl/gemm/form.ts";
import { type MatrixUnit, subgroupUnit } from "../../wgsl/gemm/matrix-unit.ts";

/** The units that `caps.matrices` names. */
export const unitsOf = ({ matrices }: Pick<Caps, "matrices">): MatrixUnit[] =>
  [...matrices.matchAll(/(f16|f32) (\d+)x(\d+)x(\d+) by (\d+)/g)].map(([, component, ...sizes]) => {
    const [m, n, k, lanes] = sizes.map(Number) as [number, number, number, number];
    return subgroupUnit({ component: component as MatrixUnit["component"], m, n, k, lanes });
  });

/** What serves a product: a unit of f16 where both operands are such, else one of f32, which takes every type. */
export const unitFor = (units: readonly MatrixUnit[], halves: boolean): MatrixUnit | undefined =>
  (halves ? units.find(({ component }) => component === "f16") : undefined) ?? units.find(({ component }) => component === "f32");

/** 64 x 64 results to a workgroup of 2 x 2 subgroups: with small matrices of at most 16 rows it takes the 16 KiB of memory that every adapter has. */
export const tileOf = (unit: MatrixUnit): Tile => ({
  ...{ rows: 32, columns: 32, down: 2, across: 2, unit },
  depth: unit.component === "f16" ? 32 : 16,
});
