import { type DType, type HostArray, type Shape, ShapeError, show, sizeOf, TensorError } from "@x/tensor";
import { cellAliases, type Module, namedCells } from "./module.ts";

/** A parameter or state on the host. */
export interface HostState {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: HostArray;
}

/** Every parameter and state once, under the first path that leads to it; `cellAliases` lists the others. */
export async function stateDict(module: Module): Promise<Map<string, HostState>> {
  const state = new Map<string, HostState>();
  for (const [name, cell] of namedCells(module)) state.set(name, { shape: cell.shape, dtype: cell.dtype, values: await cell.data() });
  return state;
}

/** What loading did, with complete lists. */
export interface LoadReport {
  readonly loaded: readonly string[];
  readonly missing: readonly string[];
  readonly unused: readonly string[];
  readonly mismatched: readonly { readonly name: string; readonly expected: Shape; readonly received: Shape }[];
}

/**
 * Fills a module from host values by name. Strict (the default): anything missing, left over or of another shape is one error that lists it all, and nothing has been
 * written. A tied cell may come under any of its names.
 */
export function loadStateDict(
  module: Module,
  state: ReadonlyMap<string, { readonly shape: Shape; readonly values: ArrayLike<number> }>,
  { strict = true }: { strict?: boolean } = {},
): LoadReport {
  const cells = namedCells(module);
  const aliases = cellAliases(module);
  const sources = new Map<string, string>();
  for (const name of state.keys()) {
    const own = cells.has(name) ? name : aliases.get(name);
    if (own !== undefined && (own === name || !state.has(own))) sources.set(own, name);
  }
  const unused = [...state.keys()].filter((name) => !cells.has(name) && !aliases.has(name));
  const missing = [...cells.keys()].filter((name) => !sources.has(name));
  const mismatched = [...sources].flatMap(([own, name]) => {
    const [expected, received] = [cells.get(own)!.shape, state.get(name)!.shape];
    return show(expected) === show(received) ? [] : [{ name, expected, received }];
  });
  const bad = new Set(mismatched.map(({ name }) => name));
  const loaded = [...sources].filter(([, name]) => !bad.has(name));
  const report = { loaded: loaded.map(([own]) => own), missing, unused, mismatched };
  if (strict && missing.length + unused.length + mismatched.length > 0)
    throw new TensorError(`loadStateDict: the names or shapes do not fit.\n${formatReport(report)}`);
  for (const [own, name] of loaded) {
    const { values, shape } = state.get(name)!;
    if (values.length !== sizeOf(shape))
      throw new ShapeError(`loadStateDict: ${name} has shape ${show(shape)} but ${values.length} values.`);
    cells.get(own)!.write(values);
  }
  return report;
}

export function formatReport({ loaded, missing, unused, mismatched }: LoadReport): string {
  const list = (title: string, names: readonly string[]) => (names.length === 0 ? [] : [`${title} (${names.length}): ${names.join(", ")}`]);
  return [
    ...list("loaded", loaded),
    ...list("missing in the file", missing),
    ...list("unused from the file", unused),
    ...list(
      "other shapes",
      mismatched.map(({ name, expected, received }) => `${name} is ${show(expected)} here, ${show(received)} in the file`),
    ),
  ].join("\n");
}
