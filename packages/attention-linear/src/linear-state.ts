import { expectCounts, SequenceState } from "@x/nn";
import { type Device, full, State, scope, type Tensor, TensorError, zeros } from "@x/tensor";
import type { Carried } from "./causal-sums.ts";
import { afterRecent, type LocalInputs } from "./local.ts";
import { nothing } from "./prefix.ts";

/** What a layer has to remember, as it says itself. */
export interface LinearStateShape {
  /** Heads of keys and values that are attended to as a whole. */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly featureDim: number;
  /** Keys have a logScale, and beside it a floor. */
  readonly scaled: boolean;
  readonly floored: boolean;
  /** Heads of keys and values with a window, and how far back it reaches. */
  readonly localKvHeads: number;
  readonly localWindow: number;
}

/** What one layer reads and writes while generating. */
export interface LinearLayerCache {
  /** What it was made for. */
  readonly shape: LinearStateShape;
  /** Of `count` new positions, bool [batch, count], those that are no padding; undefined: all. */
  keyMask(count: number): Tensor | undefined;
  /** What all positions so far add up to. */
  carried(): Carried;
  carry(next: Carried): void;
  /** New keys and values of local heads behind those that the window can still see. */
  recent(inputs: Pick<LocalInputs, "k" | "v">): Omit<LocalInputs, "q">;
}

export interface LinearStateOptions {
  readonly batch: number;
  /** The state does not grow; a limit of positions for whoever plans with one. */
  readonly capacity?: number;
  /** The layers that it serves, in order. */
  readonly layers: readonly { readonly stateShape: LinearStateShape }[];
  readonly device?: Device | undefined;
}

/** Cells of a layer by what they hold. */
type Cells = Readonly<Record<string, { readonly cell: State; readonly empty: number }>>;

/**
 * What linear attention remembers of a batch: sums of fixed size for each layer, in the place of a cache of keys and values, and the last window of local heads. Rows may be padded on the left. Sums do not say what
 * they were before a position came, so it cannot be truncated but to nothing: fork it where you may want to come back to.
 */
export class LinearState extends SequenceState {
  readonly capacity: number;
  readonly layers: readonly LinearLayerCache[];
  readonly #options: LinearStateOptions;
  readonly #cells: readonly Cells[];

  constructor(options: LinearStateOptions) {
    const { batch, capacity = Number.POSITIVE_INFINITY, layers, device } = options;
    if (options.capacity !== undefined) expectCounts("LinearState", { capacity });
    super(batch, device);
    this.#options = { ...options, layers: layers.map(({ stateShape }) => ({ stateShape })) };
    this.capacity = capacity;
    this.#cells = layers.map(({ stateShape }) => cellsOf(stateShape, batch, device));
    this.layers = layers.map(({ stateShape }, i) => this.#layer(stateShape, this.#cells[i]!));
  }

  #layer(shape: LinearStateShape, cells: Cells): LinearLayerCache {
    const cellOf = (name: string) => cells[name]?.cell;
    return {
      shape,
      keyMask: (count) => this.present(this.next(count)),
      carried: () => Object.fromEntries(carriedNames.map((name) => [name, cellOf(name)?.value])) as unknown as Carried,
      carry: (next) => {
        for (const name of carriedNames) cellOf(name)?.set(next[name]!);
      },
      recent: (inputs) => {
        const cells = { keys: cellOf("recentKeys")!, values: cellOf("recentValues")! };
        return afterRecent(cells, inputs, { lengths: this.lengths.value, padding: this.padding.value });
      },
    };
  }

  protected override forget(length: number): void {
    if (length !== 0)
      throw new TensorError(
        `LinearState.truncate: of ${this.length} positions all or none can be kept, as only their sums are, got ${length}. Fork the state before what you may take back.`,
      );
    scope(() => {
      for (const { cell, empty } of this.#cells.flatMap((cells) => Object.values(cells)))
        cell.set(empty === 0 ? zeros(cell.shape, cell) : full(cell.shape, empty, cell));
    });
  }

  protected like(batch: number): this {
    return new LinearState({ ...this.#options, batch }) as this;
  }

  protected cells(): State[] {
    return this.#cells.flatMap((cells) => Object.values(cells).map(({ cell }) => cell));
  }
}

const carriedNames = ["sums", "keySums", "stabilizer", "valueSum", "keyCount"] as const;

function cellsOf(shape: LinearStateShape, batch: number, device: Device | undefined): Cells {
  const { kvHeads, headDim, featureDim, scaled, floored, localKvHeads, localWindow } = shape;
  const cell = (extents: readonly number[], empty = 0) => {
    const size = extents.reduce((a, b) => a * b, batch);
    const data = empty === 0 ? undefined : new Float32Array(size).fill(empty);
    return { cell: new State({ shape: [batch, ...extents], device, data }), empty };
  };
  return {
    sums: cell([kvHeads, featureDim, headDim]),
    keySums: cell([kvHeads, featureDim, 1]),
    ...(scaled && { stabilizer: cell([kvHeads, 1, 1], nothing) }),
    ...(scaled && floored && { valueSum: cell([kvHeads, 1, headDim]), keyCount: cell([1, 1, 1]) }),
    ...(localKvHeads > 0 && {
      recentKeys: cell([localKvHeads, localWindow, headDim]),
      recentValues: cell([localKvHeads, localWindow, headDim]),
    }),
  };
}
