import { type Parameter, type Tensor, TensorError } from "@x/tensor";
import { expectGradients, type Optimizer, type OptimizerRule, type ParameterPredicate, uniqueParameters } from "./optimizer.ts";
import { asTensor } from "./scalars.ts";

export interface Group {
  /** Its parameters; the first group that matches has a parameter. */
  readonly match: ParameterPredicate;
  readonly optimizer: OptimizerRule;
  /** Multiplies the rate of the step for this group; 1 if absent. */
  readonly lrScale?: number;
}

interface Member {
  readonly name: string;
  readonly optimizer: Optimizer;
  readonly lrScale: number;
  /** Positions of its parameters among all. */
  readonly positions: readonly number[];
}

/**
 * Several optimizers over one model, each with the parameters that match: hidden matrices to Muon and the rest to AdamW, or layers with rates of their own.
 * State names start with the group's name. Every parameter must match a group, and every group a parameter.
 */
export function byGroup(groups: Readonly<Record<string, Group>>): OptimizerRule {
  return {
    init(named) {
      const parameters = uniqueParameters("byGroup", named);
      const members = assign(groups, parameters);
      return {
        parameters: [...parameters.values()],
        update(gradients, args) {
          expectGradients("byGroup", parameters, gradients);
          for (const { name, optimizer, lrScale, positions } of members) {
            const own = positions.map((at): Tensor => gradients[at]!);
            const lr = typeof args.lr === "number" ? args.lr * lrScale : asTensor(name, "lr", args.lr).mul(lrScale);
            optimizer.update(own, { ...args, lr: lrScale === 1 ? args.lr : lr });
          }
        },
        states: () =>
          new Map(
            members.flatMap(({ name, optimizer }) => [...optimizer.states()].map(([key, cell]) => [`${name}.${key}`, cell] as const)),
          ),
      };
    },
  };
}

function assign(groups: Readonly<Record<string, Group>>, parameters: ReadonlyMap<string, Parameter>): Member[] {
  const entries = [...parameters];
  const owner = entries.map(([name, parameter]) => {
    const found = Object.entries(groups).find(([, { match }]) => match(name, parameter));
    if (!found)
      throw new TensorError(
        `byGroup: ${name} matches none of the groups ${Object.keys(groups).join(", ")}. End with one whose match is () => true.`,
      );
    return found[0];
  });
  return Object.entries(groups).map(([name, { optimizer, lrScale = 1 }]) => {
    const positions = owner.flatMap((at, i) => (at === name ? [i] : []));
    if (positions.length === 0)
      throw new TensorError(`byGroup: no parameter is left for group "${name}". Its match, or that of a group before it, is wrong.`);
    return { name, optimizer: optimizer.init(positions.map((i) => entries[i]!)), lrScale, positions };
  });
}
