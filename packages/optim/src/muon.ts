import { type Parameter, ShapeError, show, Tensor } from "@x/tensor";
import { orthogonalize } from "./newton-schulz.ts";
import { type OptimizerRule, type ParameterPredicate, perParameter } from "./optimizer.ts";
import { expectNumber, next, scaled } from "./scalars.ts";

export interface MuonOptions {
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
  /** Newton-Schulz steps. */
  readonly steps?: number;
  /** How the rate follows the shape: sqrt(max(1, rows / cols)), or 0.2 sqrt(max(rows, cols)), which lets it share AdamW's rate. */
  readonly adjust?: "original" | "match_rms_adamw";
  /** Row extents of matrices fused into one parameter (queries, keys, values), each orthogonalised alone; undefined where it is one matrix. */
  readonly split?: (name: string, parameter: Parameter) => readonly number[] | undefined;
  /** Parameters kept as [in, out] (GPT-2's Conv1D): read transposed, rows being outputs. */
  readonly transposed?: ParameterPredicate;
}

/**
 * Muon: b = momentum b + (1 - momentum) g; u = b, or momentum b + (1 - momentum) g with `nesterov`; p -= lr weightDecay p; p -= lr adjust(rows, cols)
 * orthogonalize(u). For hidden matrices [out, in] (axes before the last two are a batch of matrices); embeddings, heads, gains and biases go to another
 * optimizer by `byGroup`. States "momentum_buffer" and "step". Jordan et al. 2024; averages and defaults of torch.optim.Muon, orthogonalised in f32.
 */
export function muon(options: MuonOptions = {}): OptimizerRule {
  const { momentum = 0.95, nesterov = true, weightDecay = 0.1, steps = 5, adjust = "original", split, transposed } = options;
  expectNumber("muon", "momentum", momentum, 0, 1);
  expectNumber("muon", "weightDecay", weightDecay, 0);
  expectNumber("muon", "steps", steps, 1);
  const direction = (u: Tensor): Tensor => orthogonalize(u, steps).mul(adjustment(adjust, u.shape.at(-2)!, u.shape.at(-1)!));
  return perParameter({
    name: "muon",
    slots: ["momentum_buffer"],
    check: (name, parameter) => {
      expectMatrix(name, parameter);
      expectParts(name, parameter, split?.(name, parameter), transposed?.(name, parameter) ?? false);
    },
    update({ name, parameter, gradient, slots, lr, gradScale, skip }) {
      const buffer = slots.momentum_buffer!;
      const average = (x: Tensor, g: Tensor) => x.mul(momentum).add(g.mul(1 - momentum));
      const g = scaled(gradient, gradScale, buffer);
      const moved = average(buffer.value, g);
      const along = nesterov ? average(moved, g) : moved;
      const turned = transposed?.(name, parameter) ?? false;
      const matrix = turned ? along.transpose() : along;
      const parts = split?.(name, parameter);
      const whole = parts ? Tensor.concat(matrix.split(-2, parts).map(direction), -2) : direction(matrix);
      const p = parameter.value.cast(buffer.dtype);
      const rate = lr.cast(buffer.dtype);
      const decayed = weightDecay > 0 ? p.sub(p.mul(rate.mul(weightDecay))) : p;
      next(parameter, decayed.sub((turned ? whole.transpose() : whole).mul(rate)), skip);
      next(buffer, moved, skip);
    },
  });
}

function adjustment(adjust: "original" | "match_rms_adamw", rows: number, cols: number): number {
  return adjust === "original" ? Math.sqrt(Math.max(1, rows / cols)) : 0.2 * Math.sqrt(Math.max(rows, cols));
}

function expectMatrix(name: string, { shape }: Parameter): void {
  if (shape.length < 2)
    throw new ShapeError(
      `muon: ${name} has shape ${show(shape)}, but only matrices can be orthogonalised. Give it to another optimizer: byGroup({ muon: { match, optimizer: muon() }, rest: ... }).`,
    );
}

function expectParts(name: string, { shape }: Parameter, parts: readonly number[] | undefined, turned: boolean): void {
  const rows = shape.at(turned ? -1 : -2)!;
  if (parts && parts.reduce((sum, n) => sum + n, 0) !== rows)
    throw new ShapeError(`muon: split gives ${show(parts)} for ${name}, which does not make up its ${rows} rows (outputs).`);
}
