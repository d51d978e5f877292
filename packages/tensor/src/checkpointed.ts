import { pullback, record, Tape, type TapeNode } from "./autograd.ts";
import { context, within } from "./context.ts";
import { currentGenerator } from "./generator.ts";
import { scope, tensorsIn } from "./scope.ts";
import type { Tensor } from "./tensor.ts";
import type { Value } from "./value.ts";

/** Follows what the surrounding gradients follow, and keeps nothing but the values that came in from them. */
class Probe extends Tape {
  readonly used = new Set<Value>();
  readonly #outer: readonly Tape[];
  constructor(outer: readonly Tape[]) {
    super([]);
    this.#outer = outer;
  }

  override record(node: TapeNode): void {
    const before = node.inputs.filter((input) => this.#outer.some((tape) => tape.tracked.has(input)));
    for (const input of before) this.used.add(input);
    if (before.length === 0 && !node.inputs.some((input) => this.tracked.has(input))) return;
    for (const output of node.outputs) this.tracked.add(output.retain());
  }
}

/** Lets `tracking` see what the outer tapes follow while only the probe records. */
function probeSees(probe: Probe, outer: readonly Tape[]): Tape {
  const tracked = { has: (value: Value) => probe.tracked.has(value) || outer.some((tape) => tape.tracked.has(value)) };
  return { tracked, record: (node: TapeNode) => probe.record(node) } as unknown as Tape;
}

/**
 * Runs `fn` keeping only what it read and returned; the backward pass runs it again. It must do the same then: draws are replayed, cell writes are not
 * repeated, and reading a cell after writing it is refused. For deep models: the memory of one block instead of all. Chen et al. 2016, arXiv 1604.06174.
 */
export function checkpointed<R>(fn: () => R): R {
  const outer = context.tapes;
  if (outer.length === 0) return scope(fn);
  const generator = currentGenerator("checkpointed");
  const ordinal = generator.ordinal;
  const { precision } = context;
  const probe = new Probe(outer);
  const read = new Set<Tensor>();
  const result = scope(() => within({ tapes: [probeSees(probe, outer)], written: context.written ?? new Set(), read }, fn));
  const results = new Set(tensorsIn(result));
  // What the body read from outside and will read again, masks and the like included: whoever made it may free it before.
  const outside = [...read].filter((tensor) => !tensor.isFreed && !results.has(tensor));
  for (const tensor of outside) context.read?.add(tensor);
  const first = [...results].map((tensor) => tensor.inner);
  const outputs = first.filter((value) => probe.tracked.has(value));
  const inputs = [...probe.used];
  record({
    name: "checkpointed",
    inputs,
    outputs,
    saved: [...new Set([...inputs, ...outside.map((tensor) => tensor.inner)])],
    backward: (upstream) =>
      scope(() => {
        const again = () => generator.replay(ordinal, () => within({ recomputing: true, precision }, fn));
        const { value, pull, end } = pullback(again, inputs);
        try {
          const made = [...new Set(tensorsIn(value))].map((tensor: Tensor) => tensor.inner);
          const seeds = new Map<Value, Tensor>();
          for (const [i, output] of outputs.entries()) if (upstream[i]) seeds.set(made[first.indexOf(output)]!, upstream[i]);
          return pull(seeds);
        } finally {
          end();
        }
      }),
  });
  probe.end();
  return result;
}
