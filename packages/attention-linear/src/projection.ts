import { expectChoice, expectCounts, Module } from "@x/nn";
import { currentGenerator, type Generator, State, type Tensor } from "@x/tensor";
import { type DrawOptions, drawProjection } from "./orthogonal.ts";

export interface ProjectionOptions extends Omit<DrawOptions, "numFeatures"> {
  /** floor(headDim ln headDim) if absent. */
  readonly numFeatures?: number;
  /** Training forwards that one draw serves; 0 keeps it for good. `redrawProjections` counts them. */
  readonly redrawEvery?: number;
}

/** A counter that the host knows too: whatever is written, by loading also. */
class Count extends State {
  // Assigned by `write`, which the constructor above calls before this class's own fields would be set.
  declare count: number;

  override write(data: ArrayLike<number>): void {
    super.write(data);
    this.count = data[0]!;
  }
}

const brand = Symbol.for("@x/attention-linear.projection");

/**
 * A random projection of the last axis, headDim -> numFeatures, shared by the heads of a layer. Nothing is trained, but `projection_matrix` [numFeatures, headDim] and its age are saved with the model. Under their
 * names in the published checkpoints.
 */
export class RandomProjection extends Module {
  readonly [brand] = true;
  readonly headDim: number;
  readonly numFeatures: number;
  readonly redrawEvery: number;
  readonly projection_matrix: State;
  /** i32 []: training forwards that this draw has served. */
  readonly calls_since_last_redraw: State;
  readonly #options: DrawOptions;
  readonly #age: Count;

  constructor(options: ProjectionOptions) {
    super();
    const { headDim, redrawEvery = 1000, rowNorm = "chi" } = options;
    expectCounts("RandomProjection", { headDim });
    // At least one feature: ln 1 is 0.
    const { numFeatures = Math.max(1, Math.floor(headDim * Math.log(headDim))) } = options;
    expectCounts("RandomProjection", { numFeatures, ...(redrawEvery !== 0 && { redrawEvery }) });
    expectChoice("RandomProjection", "rowNorm", rowNorm, ["chi", "sqrt"]);
    this.headDim = headDim;
    this.numFeatures = numFeatures;
    this.redrawEvery = redrawEvery;
    this.#options = { ...options, numFeatures };
    const generator = currentGenerator("RandomProjection");
    const { device } = generator.key;
    this.projection_matrix = new State({ shape: [numFeatures, headDim], device, data: drawProjection(this.#options, generator) });
    this.#age = new Count({ shape: [], dtype: "i32", device });
    this.calls_since_last_redraw = this.#age;
  }

  static isRandomProjection(value: unknown): value is RandomProjection {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }

  /** [..., headDim] -> [..., numFeatures] */
  forward(x: Tensor): Tensor {
    return x.matmul(this.projection_matrix.value.cast(x.dtype).transpose());
  }

  /** Draws anew, from the generator's host stream. Between steps only: a backward pass under way would refuse the changed cell. */
  redraw(generator: Generator = currentGenerator("RandomProjection")): void {
    this.projection_matrix.write(drawProjection(this.#options, generator));
    this.calls_since_last_redraw.write([0]);
  }

  /** Counts one training forward that is about to begin, and draws anew if this draw has served its number. True if it did. */
  countForward(generator: Generator = currentGenerator("RandomProjection")): boolean {
    if (this.redrawEvery === 0) return false;
    const due = this.#age.count >= this.redrawEvery;
    if (due) this.redraw(generator);
    this.calls_since_last_redraw.write([this.#age.count + 1]);
    return due;
  }
}
