import { signed, unsigned, type ValueType } from "./assembler.ts";
import type { Graph, Value } from "./graph.ts";
import { type Op, opcode } from "./opcodes.ts";

/** The instructions of one function while they are written. */
export class Code {
  readonly locals: ValueType[] = [];
  private readonly bytes: number[] = [];
  private readonly constants = new Map<string, { local: number; code: readonly number[] }>();
  private readonly free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  private readonly parameters: number;
  private depth = 0;

  constructor(parameters: number) {
    this.parameters = parameters;
  }

  /** The function's body: vector constants are put into locals first. */
  finish(): number[] {
    const constants = [...this.constants.values()].flatMap(({ local, code }) => [...code, 0x21, ...unsigned(local)]);
    return [...constants, ...this.bytes];
  }

  local(type: ValueType): number {
    return this.parameters + this.locals.push(type) - 1;
  }

  op(op: Op, ...immediates: number[]): this {
    return this.raw(...opcode(op), ...immediates);
  }
  get(local: number): this {
    return this.raw(0x20, ...unsigned(local));
  }
  set(local: number): this {
    return this.raw(0x21, ...unsigned(local));
  }
  tee(local: number): this {
    return this.raw(0x22, ...unsigned(local));
  }
  const(value: number): this {
    return this.raw(0x41, ...signed(value));
  }
  raw(...bytes: number[]): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  /** The argument word at `index` of the words that local `args` points at. */
  word(args: number, index: number): this {
    return this.get(args).op("i32.load", 2, ...unsigned(index * 4));
  }

  /** A block, a loop or an if (which takes its condition from the stack). `body` gets the label that `branch` takes. */
  nest(kind: "block" | "loop" | "if", body: (label: number) => void): this {
    this.raw({ block: 0x02, loop: 0x03, if: 0x04 }[kind], 0x40);
    body(++this.depth);
    this.depth--;
    return this.raw(0x0b);
  }
  branch(label: number): this {
    return this.raw(0x0c, ...unsigned(this.depth - label));
  }
  branchIf(label: number): this {
    return this.raw(0x0d, ...unsigned(this.depth - label));
  }

  /**
   * Writes the dataflow of a body: all values first, then its stores, so that a store over a leaf comes after the leaf's loads. The chains of
   * stores are written in turns, so that a processor that looks a chain ahead finds others to work on: two at a time are as good in Node 20, and take up to 1.3 times as
   * long in Node 24.
   */
  graph(graph: Graph): void {
    const uses = countUses(graph.stores.flatMap(({ address, value }) => [address, value]));
    const homes = new Map<Value, number>();
    const listed = new Set<Value>();
    const chains = graph.stores.map(({ value }) => chainOf(value, listed));
    for (const value of alternate(chains)) this.place(value, uses, homes);
    for (const { code, address, value } of graph.stores) {
      this.compute(address, uses, homes);
      this.fetch(value, uses, homes);
      this.raw(...code);
    }
  }

  /** Computes `value` into a local, unless one holds it, after what it needs: chains may share values. */
  private place(value: Value, uses: Map<Value, number>, homes: Map<Value, number>): void {
    if (value.held || homes.has(value) || value.inputs.length === 0) return;
    for (const input of value.inputs) this.place(input, uses, homes);
    for (const input of value.inputs) this.compute(input, uses, homes);
    this.raw(...value.code).set(this.give(value, homes));
  }

  /** Leaves one value of a graph of its own on the stack. */
  value(value: Value): this {
    this.compute(value, countUses([value]), new Map());
    return this;
  }

  /** Leaves `value` on the stack, computing it unless a local holds it. */
  private compute(value: Value, uses: Map<Value, number>, homes: Map<Value, number>): void {
    if (value.held || homes.has(value)) {
      this.fetch(value, uses, homes);
      return;
    }
    for (const input of value.inputs) this.compute(input, uses, homes);
    this.raw(...value.code);
    const rest = uses.get(value)! - 1;
    uses.set(value, rest);
    if (rest > 0 && value.inputs.length > 0) this.tee(this.give(value, homes));
  }

  private fetch(value: Value, uses: Map<Value, number>, homes: Map<Value, number>): void {
    if (value.held) {
      this.get("local" in value.held ? value.held.local : this.constant(value.held.constant, value.code));
      return;
    }
    const home = homes.get(value)!;
    this.get(home);
    const rest = uses.get(value)! - 1;
    uses.set(value, rest);
    if (rest === 0) this.free[value.type].push(home);
  }

  private give(value: Value, homes: Map<Value, number>): number {
    const home = this.free[value.type].pop() ?? this.local(value.type);
    homes.set(value, home);
    return home;
  }

  private constant(key: string, code: readonly number[]): number {
    const found = this.constants.get(key) ?? { local: this.local("v128"), code };
    this.constants.set(key, found);
    return found.local;
  }
}

/** What a value needs, in an order in which it can be computed, but for what is `listed` already. Constants stand where they are used. */
function chainOf(root: Value, listed: Set<Value>): Value[] {
  const chain: Value[] = [];
  const visit = (value: Value): void => {
    if (value.held || listed.has(value)) return;
    listed.add(value);
    value.inputs.forEach(visit);
    chain.push(value);
  };
  visit(root);
  return chain;
}

/** The items of some lists in turns. */
function* alternate<T>(lists: readonly (readonly T[])[]): Generator<T> {
  const longest = Math.max(...lists.map((list) => list.length));
  for (let i = 0; i < longest; i++) for (const list of lists) if (i < list.length) yield list[i]!;
}

function countUses(roots: readonly Value[]): Map<Value, number> {
  const uses = new Map<Value, number>();
  const visit = (value: Value): void => {
    const before = uses.get(value) ?? 0;
    uses.set(value, before + 1);
    if (before === 0) value.inputs.forEach(visit);
  };
  roots.forEach(visit);
  return uses;
}
