import { type Parameter, ShapeError, State, scope, show, statisticsOf, type Tensor, TensorError, type TensorLike } from "@x/tensor";
import { asTensor, next, type Scalar } from "./scalars.ts";

/** Parameters with their names, in the order of the gradients: `model.namedParameters()`. */
export type NamedParameters = Iterable<readonly [string, Parameter]>;
/** Picks parameters by name or by shape. */
export type ParameterPredicate = (name: string, parameter: Parameter) => boolean;

/** What an update varies by. Inside a compiled step each is an argument of the step, a cell, or computed from them; a JS number would be baked in. */
export interface UpdateArguments {
  /** The rate of this step; shape []. */
  readonly lr: Scalar;
  /** Multiplies every gradient, in f32; shape []. Clipping and token counts come this way, so that gradients are not rewritten. */
  readonly gradScale?: TensorLike | undefined;
  /** bool []. Where it is true, parameters, moments and step count stay as they are, whatever the gradients hold. */
  readonly skip?: TensorLike | undefined;
}

/** An optimizer with its state: cells, so that an update inside a compiled step makes none. */
export interface Optimizer {
  /** What it trains, in the order of the gradients: `valueAndGrad(loss, optimizer.parameters)`. A tied parameter stands here once, with one set of moments. */
  readonly parameters: readonly Parameter[];
  /** One step. `gradients` are in the order of `parameters`, each of its parameter's shape. */
  update(gradients: readonly Tensor[], args: UpdateArguments): void;
  /** The cells a checkpoint keeps, by stable names: "step", "exp_avg.blocks.0.norm.weight". */
  states(): ReadonlyMap<string, State>;
}

/** How parameters are updated, before there are any: `adamW({ ... })`. */
export interface OptimizerRule {
  init(parameters: NamedParameters): Optimizer;
}

/** What one parameter's update works on; `gradient` is as given, unscaled. */
export interface ParameterUpdate {
  readonly name: string;
  readonly parameter: Parameter;
  readonly gradient: Tensor;
  readonly slots: Readonly<Record<string, State>>;
  readonly lr: Tensor;
  /** t, from 1. */
  readonly step: Tensor;
  readonly gradScale: Tensor | undefined;
  readonly skip: Tensor | undefined;
}

export interface ElementaryRule {
  readonly name: string;
  /** Names of the cells each parameter has, of its shape and zero at first: f32, f64 for an f64 parameter. */
  readonly slots: readonly string[];
  /** Refuses parameters that the rule is not for. */
  check?(name: string, parameter: Parameter): void;
  update(update: ParameterUpdate): void;
}

/** Makes an optimizer of a rule that treats each parameter by itself; the step counter advances on the device. */
export function perParameter(rule: ElementaryRule): OptimizerRule {
  return {
    init(named) {
      const parameters = uniqueParameters(rule.name, named);
      for (const [name, parameter] of parameters) rule.check?.(name, parameter);
      const counter = new State({ shape: [], device: [...parameters.values()][0]!.device });
      const slots = new Map([...parameters].map(([name, parameter]) => [name, makeSlots(rule.slots, parameter)]));
      return {
        parameters: [...parameters.values()],
        update(gradients, args) {
          expectGradients(rule.name, parameters, gradients);
          scope(() => {
            const step = counter.value.add(1);
            const shared = { step, lr: asTensor(rule.name, "lr", args.lr, counter), ...conditions(rule.name, args) };
            for (const [i, [name, parameter]] of [...parameters].entries())
              rule.update({ name, parameter, gradient: gradients[i]!, slots: slots.get(name)!, ...shared });
            next(counter, step, shared.skip);
          });
        },
        states: () =>
          new Map([
            ["step", counter],
            ...rule.slots.flatMap((slot) => [...slots].map(([name, own]) => [`${slot}.${name}`, own[slot]!] as const)),
          ]),
      };
    },
  };
}

function conditions(who: string, { gradScale, skip }: UpdateArguments) {
  return {
    gradScale: gradScale && asTensor(who, "gradScale", gradScale),
    skip: skip && asTensor(who, "skip", skip, undefined, "bool"),
  };
}

function makeSlots(names: readonly string[], { shape, dtype, device }: Parameter): Record<string, State> {
  return Object.fromEntries(names.map((name) => [name, new State({ shape, dtype: statisticsOf(dtype), device })]));
}

/** Each cell once, under the first of its names. Throws where there is none, or where two cells have one name. */
export function uniqueParameters(who: string, named: NamedParameters): Map<string, Parameter> {
  const names = new Map<string, Parameter>();
  const seen = new Set<Parameter>();
  for (const [name, parameter] of named) {
    const known = names.get(name);
    if (known && known !== parameter) throw new TensorError(`${who}: two different parameters are named "${name}". Names must differ.`);
    if (seen.has(parameter)) continue;
    seen.add(parameter);
    names.set(name, parameter);
  }
  if (names.size === 0)
    throw new TensorError(`${who}: there are no parameters. Pass model.namedParameters(), or pairs of a name and a Parameter.`);
  return names;
}

/** Throws where gradients do not fit the parameters. */
export function expectGradients(who: string, parameters: ReadonlyMap<string, Parameter>, gradients: readonly Tensor[]): void {
  if (gradients.length !== parameters.size)
    throw new TensorError(
      `${who}: expected ${parameters.size} gradients, one for each of its parameters in their order, got ${gradients.length}. Differentiate with respect to .parameters.`,
    );
  for (const [i, [name, { shape }]] of [...parameters].entries())
    if (show(gradients[i]!.shape) !== show(shape))
      throw new ShapeError(
        `${who}: the gradient of ${name} must have its shape ${show(shape)}, got ${show(gradients[i]!.shape)} at position ${i}.`,
      );
}

/** The default of weight decay: matrices and beyond, not biases nor the gains of norms. */
export const atLeastTwoAxes: ParameterPredicate = (_, { shape }) => shape.length >= 2;
