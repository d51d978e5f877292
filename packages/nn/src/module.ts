import { Cell, type Parameter, type State, scope, TensorError } from "@x/tensor";

const brand = Symbol.for("@x/nn.module");

/**
 * A part of a model. Its parameters, states and parts are plain fields, alone or in lists and records; the path of fields is the parameter's name
 * ("blocks.0.norm.weight"). Calling `forward` is a scope: what it makes and neither returns nor saves for a gradient goes back to the pool; errors on the way
 * out name the layer.
 */
export abstract class Module {
  readonly [brand] = true;

  constructor() {
    const { forward } = this;
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
    return describe(this, "", "").join("\n");
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
  if (parent) for (const [path, part] of partsOf(parent)) if (part === module) return path;
  return module.constructor.name;
}

/** Fields that are modules or cells, those in lists and plain records too, with their paths. */
function* partsOf(owner: object, prefix = ""): Generator<[string, Module | Cell]> {
  for (const [name, value] of Object.entries(owner)) yield* partIn(value, `${prefix}${name}`);
}

function* partIn(value: unknown, path: string): Generator<[string, Module | Cell]> {
  if (typeof value !== "object" || value === null) return;
  if (Module.isModule(value) || isKept(value)) yield [path, value];
  else if (Array.isArray(value)) for (const [i, item] of value.entries()) yield* partIn(item, `${path}.${i}`);
  else if (Object.getPrototypeOf(value) === Object.prototype) yield* partsOf(value, `${path}.`);
}

/** Parameters and states belong to the state; bare cells are constants (tables) that the module makes anew. */
const isKept = (value: object): value is Cell => Cell.isCell(value) && "trainable" in value;

/** All paths to parameters and states, aliases of tied ones included, in the order of fields. */
export function* cellPaths(module: Module, prefix = ""): Generator<[string, Parameter | State]> {
  for (const [path, part] of partsOf(module)) {
    if (Module.isModule(part)) yield* cellPaths(part, `${prefix}${path}.`);
    else yield [`${prefix}${path}`, part as Parameter | State];
  }
}

/** Parameters and states, each once, under the first path. */
export function namedCells(module: Module): Map<string, Parameter | State> {
  const seen = new Set<Cell>();
  const named = new Map<string, Parameter | State>();
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

function describe(module: Module, name: string, indent: string): string[] {
  const lines = [`${indent}${name ? `${name}: ` : ""}${module.constructor.name}`];
  for (const [path, part] of partsOf(module)) {
    if (Module.isModule(part)) lines.push(...describe(part, path, `${indent}  `));
    else lines.push(`${indent}  ${path}: ${(part as Cell).dtype}[${(part as Cell).shape.join(", ")}]`);
  }
  return lines;
}
