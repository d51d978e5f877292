import type { TensorLike } from "./cell.ts";
import { context, within } from "./context.ts";
import { onesLike, zerosLike } from "./create.ts";
import { ShapeError, TensorError } from "./errors.ts";
import { refusePromise, scope } from "./scope.ts";
import { sameShape, show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import type { Value } from "./value.ts";

/** One recorded operation: what it read and made, what its backward rule keeps, and the rule, itself made of operations. */
export interface TapeNode {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly saved: readonly Value[];
  /** Gradients of the inputs from those of the outputs (undefined stands for zero); `needs(i)`: anyone wants that of input i. */
  backward(upstream: readonly (Tensor | undefined)[], needs: (input: number) => boolean): readonly (Tensor | undefined)[];
}

/**
 * The record of one gradient. It follows what it was told to differentiate by, and what is computed from it; it belongs to its call, and
 * what it keeps goes back with it. Nested calls have tapes of their own, and an outer one records an inner one's backward rules like
 * any other operations: that is all there is to higher derivatives.
 */
export class Tape {
  readonly tracked: Set<Value>;
  readonly nodes: TapeNode[] = [];

  constructor(leaves: Iterable<Value>) {
    this.tracked = new Set(leaves);
    for (const leaf of this.tracked) leaf.retain();
  }

  record(node: TapeNode): void {
    if (!node.inputs.some((input) => this.tracked.has(input))) return;
    this.nodes.push(node);
    for (const value of node.saved) value.retain();
    for (const output of node.outputs) this.tracked.add(output.retain());
  }

  /** Walks the record backwards from `seeds`, the gradients of outputs. */
  backward(seeds: ReadonlyMap<Value, Tensor>): Map<Value, Tensor> {
    const upstream = new Map(seeds);
    for (const node of this.nodes.toReversed()) {
      const arriving = node.outputs.map((output) => upstream.get(output));
      if (arriving.every((gradient) => gradient === undefined)) continue;
      const gradients = node.backward(arriving, (i) => this.tracked.has(node.inputs[i]!));
      for (const [i, input] of node.inputs.entries()) {
        const gradient = gradients[i];
        if (gradient === undefined || !this.tracked.has(input)) continue;
        if (!sameShape(gradient.shape, input.shape))
          throw new ShapeError(
            `${node.name}: its gradient of input ${i} has shape ${show(gradient.shape)}, the input ${show(input.shape)}.`,
          );
        const before = upstream.get(input);
        upstream.set(input, before ? before.add(gradient) : gradient);
      }
    }
    return upstream;
  }

  /** Lets go of what was kept. */
  end(): void {
    for (const node of this.nodes) for (const value of node.saved) value.release();
    for (const value of this.tracked) value.release();
    this.nodes.length = 0;
    this.tracked.clear();
  }
}

/** Whether any running gradient follows one of these. */
export const tracking = (values: readonly Value[]): boolean =>
  context.tapes.some((tape) => values.some((value) => tape.tracked.has(value)));

export function record(node: TapeNode): void {
  for (const tape of context.tapes) tape.record(node);
}

/** Runs `fn` unseen by gradients. */
export const noGrad = <R>(fn: () => R): R => within({ tapes: [] }, fn);

type Wrt = TensorLike | readonly TensorLike[] | Readonly<Record<string, TensorLike>>;
/** Gradients in the form in which the variables were given. */
export type GradientsOf<W extends Wrt> = W extends TensorLike ? Tensor : { readonly [K in keyof W]: Tensor };

/** What `fn` returned, and a function from gradients of its tensors to those of the variables. Valid within the caller's scope. */
interface Pullback<R> {
  readonly value: R;
  pull(seeds: ReadonlyMap<Value, Tensor>): (Tensor | undefined)[];
  end(): void;
}

/** Runs `fn` seen by the tape; one that throws leaves nothing kept. */
function recordOn<R>(tape: Tape, fn: () => R): R {
  try {
    const value = within({ tapes: [...context.tapes, tape] }, fn);
    refusePromise(value, "valueAndGrad");
    return value;
  } catch (error) {
    tape.end();
    throw error;
  }
}

export function pullback<R>(fn: () => R, variables: readonly Value[]): Pullback<R> {
  const outer = context.tapes;
  const tape = new Tape(variables);
  const value = recordOn(tape, fn);
  return {
    value,
    pull: (seeds) => {
      const gradients = within({ tapes: outer }, () => tape.backward(seeds));
      return variables.map((variable) => gradients.get(variable));
    },
    end: () => tape.end(),
  };
}

/**
 * The value of `fn` and the gradient of its loss with respect to tensors or cells: one, a list or a record of them. `fn` returns the loss
 * (one element), or a record with `loss` and whatever else should come out. Gradients of variables that the loss does not
 * depend on are zeros. Nest it for higher derivatives.
 */
export function valueAndGrad<R extends Tensor | { readonly loss: Tensor }, W extends Wrt>(
  fn: () => R,
  wrt: W,
): { value: R; gradients: GradientsOf<W> } {
  return scope(() => {
    const entries = entriesOf(wrt);
    const variables = entries.map(([, variable]) => variable.inner);
    const { value, pull, end } = pullback(fn, variables);
    try {
      const loss = Tensor.isTensor(value) ? value : (value as { loss: Tensor }).loss;
      if (!Tensor.isTensor(loss))
        throw new TensorError("valueAndGrad: the body must return its loss, a tensor, or a record with one named loss.");
      if (sizeOf(loss.shape) !== 1)
        throw new ShapeError(`valueAndGrad: the loss must have one element, got shape ${show(loss.shape)}. Take .mean() or .sum() of it.`);
      const found = pull(new Map([[loss.inner, onesLike(loss)]]));
      const gradients = found.map((gradient, i) => gradient ?? zerosLike(new Tensor(variables[i]!)));
      return { value, gradients: rebuild(wrt, entries, gradients) };
    } finally {
      end();
    }
  });
}

/** The gradient alone. */
export const grad = <W extends Wrt>(fn: () => Tensor | { readonly loss: Tensor }, wrt: W): GradientsOf<W> =>
  scope(() => valueAndGrad(fn, wrt).gradients);

/** The gradient of sum(outputs * cotangents) with respect to variables, and the outputs: a vector-Jacobian product. */
export function vjp<W extends Wrt>(
  fn: () => readonly Tensor[],
  wrt: W,
  cotangents: readonly (Tensor | undefined)[],
): { value: readonly Tensor[]; gradients: GradientsOf<W> } {
  return scope(() => {
    const entries = entriesOf(wrt);
    const variables = entries.map(([, variable]) => variable.inner);
    const { value, pull, end } = pullback(fn, variables);
    try {
      const seeds = new Map<Value, Tensor>();
      for (const [i, output] of value.entries()) {
        const cotangent = cotangents[i];
        if (cotangent) seeds.set(output.inner, seeds.get(output.inner)?.add(cotangent) ?? cotangent);
      }
      const gradients = pull(seeds).map((gradient, i) => gradient ?? zerosLike(new Tensor(variables[i]!)));
      return { value, gradients: rebuild(wrt, entries, gradients) };
    } finally {
      end();
    }
  });
}

const isLike = (wrt: Wrt): wrt is TensorLike => "inner" in wrt;

function entriesOf(wrt: Wrt): [string, TensorLike][] {
  if (isLike(wrt)) return [["", wrt]];
  return Object.entries(wrt);
}

function rebuild<W extends Wrt>(wrt: W, entries: readonly [string, TensorLike][], gradients: readonly Tensor[]): GradientsOf<W> {
  if (isLike(wrt)) return gradients[0] as GradientsOf<W>;
  if (Array.isArray(wrt)) return gradients as unknown as GradientsOf<W>;
  return Object.fromEntries(entries.map(([name], i) => [name, gradients[i]!])) as GradientsOf<W>;
}
