import { type Module, namedModules } from "@x/nn";
import { currentGenerator, type Generator } from "@x/tensor";
import { RandomProjection } from "./projection.ts";

/**
 * To be called before each training step: counts a forward for every random projection of a model, and draws those anew that have served their `redrawEvery`. Returns how many were. It stands outside of
 * the step, so that forward, recomputation and backward see one projection, and the drawing costs nothing in the steps between. Evaluation never redraws.
 */
export function redrawProjections(
  model: Module,
  { generator = currentGenerator("redrawProjections") }: { generator?: Generator } = {},
): number {
  const projections = [model, ...namedModules(model).values()].filter(RandomProjection.isRandomProjection);
  return projections.filter((projection) => projection.countForward(generator)).length;
}
