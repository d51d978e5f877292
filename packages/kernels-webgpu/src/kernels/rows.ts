import { type Param, u32 } from "../device/launch.ts";
import { type RowForm, type RowProgram, rowGroups, rowSource } from "../wgsl/rows.ts";
import type { Place, Planner } from "./planner.ts";

type Places = Readonly<Record<string, Place | undefined>>;

/** The buffers of a program of rows; those that are undefined are left out. */
export interface RowPlaces {
  readonly reads: Places;
  readonly writes?: Places;
  /** Written, then read again. */
  readonly modifies?: Places;
  /** Read and written element by element, such as what there is one of for each row. */
  readonly single?: { readonly reads?: Places; readonly writes?: Places };
}

/** One launch of a program over rows of n elements. */
export function runRows(
  p: Planner,
  form: RowForm,
  program: RowProgram,
  { reads, writes, modifies, single }: RowPlaces,
  rows: number,
  n: number,
  params: Readonly<Record<string, Param>> = {},
): void {
  const uses = (places: Places = {}, width: 1 | 4 = form.width) =>
    Object.fromEntries(Object.entries(places).flatMap(([name, place]) => (place ? [[name, [place, width] as const]] : [])));
  p.run({
    code: rowSource(form, program),
    params: { rows: u32(rows), n: u32(n), vectors: u32(Math.ceil(n / 4)), ...params },
    groups: rowGroups(form, rows),
    reads: { ...uses(reads), ...uses(single?.reads, 1) },
    writes: { ...uses(writes), ...uses(single?.writes, 1) },
    modifies: uses(modifies),
  });
}
