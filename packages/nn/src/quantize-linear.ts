import { TensorError } from "@x/tensor";
import { Linear } from "./linear.ts";
import { type Module, namedCells, replaceParts, walk } from "./module.ts";
import { QuantizedLinear, type WeightQuantization } from "./quantized-linear.ts";

export interface QuantizeLinearOptions extends WeightQuantization {
  /** Which layers, by path and layer; all if absent. */
  readonly where?: (path: string, layer: Linear) => boolean;
}

/**
 * Puts a `QuantizedLinear` in the place of each `Linear` of a model, and gives back the memory of weights that no other part of it has. Returns the paths. Call it when the weights are loaded, and make optimizers and steps
 * afterwards: what was made before knows the old layers.
 */
export async function quantizeLinear(model: Module, { where = () => true, ...how }: QuantizeLinearOptions): Promise<string[]> {
  const chosen = [...walk(model)].flatMap(({ path, part }) => (Linear.isLinear(part) && where(path, part) ? [{ path, layer: part }] : []));
  if (chosen.length === 0) throw new TensorError(`quantizeLinear: ${model.constructor.name} has no Linear below it that is chosen.`);
  const replacements = new Map<Module, QuantizedLinear>();
  for (const { layer } of chosen) if (!replacements.has(layer)) replacements.set(layer, await QuantizedLinear.from(layer, how));
  replaceParts(model, replacements);
  const kept = new Set<unknown>(namedCells(model).values());
  for (const { weight } of new Set(chosen.map(({ layer }) => layer))) if (!kept.has(weight)) weight.dispose();
  return chosen.map(({ path }) => path);
}
