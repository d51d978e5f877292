import { type DType, type HostArray, type Shape, ShapeError, sameShape, show, sizeOf, TensorError } from "@x/tensor";
import { cellAliases, type Module, namedCells } from "./module.ts";
import { nearest } from "./nearest.ts";

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
  /** Parameters and states that were filled, under their own names. */
  readonly loaded: readonly string[];
  readonly missing: readonly string[];
  readonly unused: readonly string[];
  readonly mismatched: readonly { readonly name: string; readonly expected: Shape; readonly received: Shape }[];
  /** Names of one tied parameter that come with different values; the first of them is taken. */
  readonly conflicting: readonly { readonly name: string; readonly other: string }[];
}

type Loadable = ReadonlyMap<string, { readonly shape: Shape; readonly values: ArrayLike<number> }>;

/**
 * Fills a module from host values by name. Strict (the default): anything missing, left over, of another shape or contradictory is one error that lists it all, and
 * nothing has been written. Otherwise what fits is loaded, and the report says the rest. A tied cell may come under any of its names.
 */
export function loadStateDict(module: Module, state: Loadable, { strict = true }: { strict?: boolean } = {}): LoadReport {
  for (const [name, { values, shape }] of state)
    if (values.length !== sizeOf(shape))
      throw new ShapeError(`loadStateDict: ${name} has shape ${show(shape)} but ${values.length} values. Nothing was loaded.`);
  const cells = namedCells(module);
  const sources = sourcesOf(module, state);
  const report = compare(cells, sources, state);
  const { loaded, missing, unused, mismatched, conflicting } = report;
  if (strict && missing.length + unused.length + mismatched.length + conflicting.length > 0)
    throw new TensorError(
      `loadStateDict: names, shapes or values do not fit, and nothing was loaded. Pass { strict: false } to load what fits.\n${formatReport(report)}`,
    );
  for (const name of loaded) cells.get(name)!.write(state.get(sources.get(name)![0]!)!.values);
  return report;
}

/** For every parameter and state, the names under which the file has it, its own name first. */
function sourcesOf(module: Module, state: Loadable): Map<string, string[]> {
  const names = new Map([...namedCells(module).keys()].map((name) => [name, [name]]));
  for (const [alias, name] of cellAliases(module)) names.get(name)!.push(alias);
  return new Map([...names].map(([name, all]) => [name, all.filter((other) => state.has(other))]));
}

function compare(cells: ReturnType<typeof namedCells>, sources: ReadonlyMap<string, readonly string[]>, state: Loadable): LoadReport {
  const used = new Set([...sources.values()].flat());
  const fits = (own: string, name: string) => sameShape(cells.get(own)!.shape, state.get(name)!.shape);
  return {
    loaded: [...sources].filter(([own, [name]]) => name !== undefined && fits(own, name)).map(([own]) => own),
    missing: [...sources].filter(([, names]) => names.length === 0).map(([own]) => own),
    unused: [...state.keys()].filter((name) => !used.has(name)),
    mismatched: [...sources].flatMap(([own, names]) =>
      names.filter((name) => !fits(own, name)).map((name) => ({ name, expected: cells.get(own)!.shape, received: state.get(name)!.shape })),
    ),
    conflicting: [...sources].flatMap(([, [name, ...others]]) =>
      others.filter((other) => !sameValues(state.get(name!)!.values, state.get(other)!.values)).map((other) => ({ name: name!, other })),
    ),
  };
}

/** Values of different shapes are mismatched already, and not compared. */
function sameValues(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return true;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && !(Number.isNaN(a[i]) && Number.isNaN(b[i]))) return false;
  return true;
}

/** A report as text: how many were loaded, and everything that does not fit, with the name that a missing one may have got. */
export function formatReport({ loaded, missing, unused, mismatched, conflicting }: LoadReport): string {
  const list = (title: string, names: readonly string[]) => (names.length === 0 ? [] : [`${title} (${names.length}): ${names.join(", ")}`]);
  const hinted = (name: string, candidates: readonly string[]) => {
    const near = nearest(name, candidates);
    return near === undefined ? name : `${name} (is it ${near}?)`;
  };
  return [
    `fitting: ${loaded.length}`,
    ...list(
      "missing in the file",
      missing.map((name) => hinted(name, unused)),
    ),
    ...list("unused from the file", unused),
    ...list(
      "other shapes",
      mismatched.map(({ name, expected, received }) => `${name} is ${show(expected)} here, ${show(received)} in the file`),
    ),
    ...list(
      "tied here, but different in the file",
      conflicting.map(({ name, other }) => `${name} and ${other}`),
    ),
  ].join("\n");
}
