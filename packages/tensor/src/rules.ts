import { pullback, type TapeNode } from "./autograd.ts";
import { flatten, mapInputs } from "./dispatch.ts";
import { type Bound, isList } from "./launch.ts";
import type { Contract } from "./op.ts";
import { scope } from "./scope.ts";
import { Tensor } from "./tensor.ts";
import type { Value } from "./value.ts";

type Made = Readonly<Record<string, Value | readonly Value[]>>;

/** What a contract's gradient reads with these attributes. */
export const savedNames = (contract: Contract, attrs: Readonly<Record<string, unknown>>): readonly string[] =>
  contract.saves.filter((name) => contract.keeps?.(name, attrs) ?? true);

/** The tape's node of a contract with a gradient of its own: it keeps what `saves` lists. */
export function contractNode(
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  outputs: Made,
): TapeNode {
  const kept: Record<string, Bound> = {};
  for (const name of savedNames(contract, attrs)) kept[name] = name in contract.inputs ? inputs[name] : outputs[name];
  const flat = flatten(inputs);
  const names = namesOf(inputs);
  return {
    name: contract.name,
    inputs: flat,
    outputs: flatten(outputs),
    saved: flatten(kept),
    backward: (upstream, needs) =>
      scope(() => {
        const gradients = contract.grad!({
          saved: mapInputs(kept, (value) => new Tensor(value)),
          specs: inputs,
          attrs,
          upstream: unflatten(outputs, upstream),
          needs: (name: string) => names.some((at, i) => at.name === name && needs(i)),
        });
        return names.map(({ name, index }) => {
          const gradient = gradients[name];
          return (index === undefined ? gradient : (gradient as readonly unknown[] | undefined)?.[index]) as Tensor | undefined;
        });
      }),
  };
}

/** The node of a contract that a kernel serves but that has no gradient: backward computes the reference again, and differentiates it. */
export function vjpThroughReference(
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  outputs: Made,
): TapeNode {
  const flat = flatten(inputs);
  return {
    name: contract.name,
    inputs: flat,
    outputs: flatten(outputs),
    saved: flat,
    backward: (upstream) =>
      scope(() => {
        const again = () =>
          contract.reference!(
            mapInputs(inputs, (value) => new Tensor(value)),
            attrs,
          );
        const { value, pull, end } = pullback(again, flat);
        try {
          const made = Object.keys(outputs).flatMap((name) => value[name]!) as Tensor[];
          const seeds = new Map<Value, Tensor>();
          for (const [i, tensor] of made.entries()) if (upstream[i]) seeds.set(tensor.inner, upstream[i]);
          return pull(seeds);
        } finally {
          end();
        }
      }),
  };
}

/** For each tensor of the inputs in order: its input's name, and its index where that is a list. */
function namesOf(inputs: Readonly<Record<string, Bound>>): { name: string; index: number | undefined }[] {
  return Object.entries(inputs).flatMap(([name, bound]): { name: string; index: number | undefined }[] =>
    bound === undefined ? [] : isList(bound) ? bound.map((_, index) => ({ name, index })) : [{ name, index: undefined }],
  );
}

function unflatten(outputs: Made, upstream: readonly (Tensor | undefined)[]): Record<string, unknown> {
  let at = 0;
  return Object.fromEntries(
    Object.entries(outputs).map(([name, made]) => [name, isList(made) ? made.map(() => upstream[at++]) : upstream[at++]]),
  );
}
