import { Cell, type Parameter, type State, scope, show, TensorError } from "@x/tensor";

const brand = Symbol.for("@x/nn.module");
type Kept = Parameter | State;

/**
 * A part of a model. Its parameters, states and parts are plain fields, alone or in lists, records and maps; the path of fields is the parameter's name
 * ("blocks.0.norm.weight"). References that are no parts, such as one to an outer module, stand in #private fields. Calling `forward` is a scope: what it
 * makes and neither returns (alone or in lists, records and maps) nor saves for a gradient goes back to the pool; errors on the way out name the layer.
 */
export abstract class Module {
  readonly [brand] = true;

  constructor() {
    const { forward } = this;
    if (typeof forward !== "function")
      throw new TensorError(
        `${this.constructor.name}: forward must be a method of the class, not a field: it is wrapped in a scope when the module is made.`,
      );
    const call = (...args: never[]) => callModule(this, () => forward.apply(this, args));
    Object.defineProperty(this, "forward", { value: call });
  }

  abstract forward(...args: never[]): unknown;

  static isModule(value: unknown): value is Module {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }

  /** Every trainable cell once, under the first path that leads to it. */
  namedParameters(): Map<string, Parameter> {
    const cells = [...namedCells(this)];
    return new Map(cells.filter((entry): entry is [string, Parameter] => entry[1].trainable));
  }

  parameters(): Parameter[] {
    return [...this.namedParameters().values()];
  }

  /** How many numbers are trained. */
  get numParameters(): number {
    return this.parameters().reduce((sum, { shape }) => sum + shape.reduce((n, extent) => n * extent, 1), 0);
  }

  /** The tree of parts with their parameters, one a line. */
  toString(): string {
    const aliases = cellAliases(this);
    const lines = [...walk(this)].map(({ path, name, depth, part }) => {
      const tied = aliases.get(path);
      const what = Module.isModule(part)
        ? part.constructor.name
        : `${part.dtype}${show(part.shape)}${tied === undefined ? "" : ` = ${tied}`}`;
      return `${"  ".repeat(depth)}${name}: ${what}`;
    });
    return [this.constructor.name, ...lines].join("\n");
  }
}

let calls: Module[] = [];

function callModule(module: Module, run: () => unknown): unknown {
  const outer = calls;
  calls = [...outer, module];
  try {
    return scope(run);
  } catch (error) {
    if (TensorError.isInstance(error)) error.within(nameWithin(outer.at(-1), module));
    throw error;
  } finally {
    calls = outer;
  }
}

/** The path of a part within the module that calls it, else its class. */
function nameWithin(parent: Module | undefined, module: Module): string {
  if (parent) for (const { path, part } of walk(parent)) if (part === module) return path;
  return module.constructor.name;
}

/** Fields that are modules or cells, those in lists and plain records too, with their paths. */
function* partsOf(owner: object, prefix = ""): Generator<[string, Module | Kept]> {
  for (const [name, value] of Object.entries(owner)) yield* partIn(value, `${prefix}${name}`);
}

function* partIn(value: unknown, path: string): Generator<[string, Module | Kept]> {
  if (typeof value !== "object" || value === null) return;
  if (Module.isModule(value) || isKept(value)) yield [path, value];
  else if (Array.isArray(value) || value instanceof Map) for (const [key, item] of value.entries()) yield* partIn(item, `${path}.${key}`);
  else if (Object.getPrototypeOf(value) === Object.prototype) yield* partsOf(value, `${path}.`);
}

/** Parameters and states belong to the state; bare cells are constants (tables) that the module makes anew. */
const isKept = (value: object): value is Kept => Cell.isCell(value) && "trainable" in value;

/** Puts other parts in the place of some, wherever they stand below a module. */
export function replaceParts(owner: Module, replacements: ReadonlyMap<Module, Module>): void {
  const visited = new Set<object>();
  const visit = (holder: object) => {
    if (visited.has(holder)) return;
    visited.add(holder);
    for (const [key, value] of holder instanceof Map ? [...holder] : Object.entries(holder)) {
      const replacement = replacements.get(value as Module);
      if (!replacement) {
        if (holdsParts(value)) visit(value);
      } else if (holder instanceof Map) holder.set(key, replacement);
      else (holder as Record<string, unknown>)[key as string] = replacement;
    }
  };
  visit(owner);
}

const holdsParts = (value: unknown): value is object =>
  typeof value === "object" &&
  value !== null &&
  (Module.isModule(value) || Array.isArray(value) || value instanceof Map || Object.getPrototypeOf(value) === Object.prototype);

interface Part {
  /** From the module at the top; `name` is from the module around it, `depth` levels down. */
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  readonly part: Module | Kept;
}

/** Everything below a module in the order of fields, a shared part under each of its paths. */
export function* walk(owner: Module, prefix = "", above: readonly Module[] = []): Generator<Part> {
  const around = [...above, owner];
  for (const [name, part] of partsOf(owner)) {
    const path = `${prefix}${name}`;
    if (around.includes(part as Module))
      throw new TensorError(
        `${around[0]!.constructor.name}: ${path} is a module that contains it. Keep references to outer modules in #private fields.`,
      );
    yield { path, name, depth: around.length, part };
    if (Module.isModule(part)) yield* walk(part, `${path}.`, around);
  }
}

/** Every module below one, each once, under the first path that leads to it: for what is done to all of a kind. */
export function namedModules(module: Module): Map<string, Module> {
  const paths = new Map<Module, string>();
  for (const { path, part } of walk(module)) if (Module.isModule(part) && !paths.has(part)) paths.set(part, path);
  return new Map([...paths].map(([part, path]) => [path, part]));
}

/** All paths to parameters and states, aliases of tied ones included, in the order of fields. */
export function* cellPaths(module: Module): Generator<[string, Kept]> {
  for (const { path, part } of walk(module)) if (!Module.isModule(part)) yield [path, part];
}

/** Parameters and states, each once, under the first path. */
export function namedCells(module: Module): Map<string, Kept> {
  const seen = new Set<Cell>();
  const named = new Map<string, Kept>();
  for (const [path, cell] of cellPaths(module)) {
    if (seen.has(cell)) continue;
    seen.add(cell);
    named.set(path, cell);
  }
  return named;
}

/** Further paths of tied cells, with the name under which each is kept. */
export function cellAliases(module: Module): Map<string, string> {
  const first = new Map<Cell, string>();
  const aliases = new Map<string, string>();
  for (const [path, cell] of cellPaths(module)) {
    const name = first.get(cell);
    if (name === undefined) first.set(cell, path);
    else aliases.set(path, name);
  }
  return aliases;
}
