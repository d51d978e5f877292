import { expectTensor, State, type TensorLike } from "./cell.ts";
import { context, within } from "./context.ts";
import { tensorOf } from "./create.ts";
import { type Device, defaultDevice } from "./device.ts";
import { pending, scalar } from "./pointwise.ts";
import { randomWords, uniformFromBits } from "./random.ts";
import { checkShape, type Shape, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** Draws outside a step count upwards from here, so that they never meet those of a step, which count from 0. */
const outside = 2 ** 31;
/** The host's draws take a step that no device counter reaches. */
const hostStep = 0xffffffff;

export interface GeneratorState {
  readonly seed: number;
  readonly hostDraws: number;
  readonly drawsOutside: number;
  readonly key: readonly number[];
}

/**
 * A stream of random numbers: Philox of a key cell (seed and step), the ordinal of the draw in the step, and the element. The same on
 * every device, and independent of how work is divided. Parameters are initialised by its host stream.
 */
export class Generator {
  #seed: number;
  /** seed low, seed high, step low, step high. */
  readonly key: State;
  #ordinal = outside;
  #hostDraws = 0;

  constructor({ seed, device = defaultDevice("a generator") }: { seed: number; device?: Device }) {
    this.#seed = seed;
    this.key = new State({ shape: [4], dtype: "u32", device, data: [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0, 0] });
  }

  get seed(): number {
    return this.#seed;
  }

  /** 32 random bits an element, u32, as a pending expression: nothing is stored until something wants it. */
  bits(shape: Shape): Tensor {
    return drawBits(this.key, this.nextOrdinal(), shape);
  }

  /** Uniform on [0, 1) in steps of 2^-24, f32. */
  uniform(shape: Shape): Tensor {
    return drawUniform(this.key, this.nextOrdinal(), shape);
  }

  /** Takes the ordinal of a draw that an operation makes by itself, from `key`. */
  nextOrdinal(): number {
    return this.#ordinal++;
  }

  /** Standard normal by Box and Muller's transform, f32. */
  normal(shape: Shape): Tensor {
    const radius = this.uniform(shape).neg().add(1).log().mul(-2).sqrt();
    return radius.mul(
      this.uniform(shape)
        .mul(2 * Math.PI)
        .cos(),
    );
  }

  /** Host draws, uniform on [0, 1) in f64 arithmetic from 24 bits: for initialisation, the same on every device. */
  hostUniform(count: number): Float64Array {
    const key = [this.#seed >>> 0, Math.floor(this.#seed / 2 ** 32) >>> 0, hostStep, hostStep];
    const ordinal = this.#hostDraws++;
    return Float64Array.from(randomWords(key, ordinal, count), uniformFromBits);
  }

  hostNormal(count: number): Float64Array {
    const radius = this.hostUniform(count);
    const angle = this.hostUniform(count);
    return radius.map((u, i) => Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * angle[i]!));
  }

  /** Runs a step's body: draws count from 0, and the key's step advances at the end. Steps of equal draws repeat nothing. */
  step<R>(body: () => R): R {
    const before = this.#ordinal;
    this.#ordinal = 0;
    try {
      return within({ generator: this }, body);
    } finally {
      this.#ordinal = before;
    }
  }

  /** Advances the step counter, as part of a step. */
  advance(): void {
    const [low, high] = [this.key.value.slice(0, 2, 3), this.key.value.slice(0, 3, 4)];
    const next = low.add(1);
    const carry = next.eq(0).cast("u32");
    this.key.set(Tensor.concat([this.key.value.slice(0, 0, 2), next, high.add(carry)], 0));
  }

  /** Runs `fn` with the ordinals it consumed before, so that a recomputed body draws what it drew. */
  replay<R>(ordinal: number, fn: () => R): R {
    const before = this.#ordinal;
    this.#ordinal = ordinal;
    try {
      return fn();
    } finally {
      this.#ordinal = before;
    }
  }

  get ordinal(): number {
    return this.#ordinal;
  }

  /** Everything that decides what comes next. */
  async state(): Promise<GeneratorState> {
    return { seed: this.#seed, hostDraws: this.#hostDraws, drawsOutside: this.#ordinal, key: [...(await this.key.data())] };
  }

  /** Goes on where the generator that gave this state was, whatever the seed of this one. */
  restore(state: GeneratorState): void {
    this.#seed = state.seed;
    this.#hostDraws = state.hostDraws;
    this.#ordinal = state.drawsOutside;
    this.key.write(state.key);
  }
}

/** The random bits of one draw, u32, as a pending expression: element i is `randomBits(key, ordinal, i)`. */
export function drawBits(key: TensorLike, ordinal: number, shape: Shape): Tensor {
  checkShape(shape, "drawBits");
  const value = expectTensor(key, "drawBits: key");
  return new Tensor(pending(value.device, shape, "u32", { op: "random", args: [value], data: ordinal }));
}

/** One draw, uniform on [0, 1) in steps of 2^-24, f32. */
export function drawUniform(key: TensorLike, ordinal: number, shape: Shape): Tensor {
  return scalar("shr", [drawBits(key, ordinal, shape), 8])
    .cast("f32")
    .mul(2 ** -24);
}

/** The generator of the running step, else that of the default device. */
export const currentGenerator = (who: string): Generator => context.generator ?? defaultDevice(who).generator;

/** Runs `fn` drawing from `generator`. */
export const withGenerator = <R>(generator: Generator, fn: () => R): R => within({ generator }, fn);

export interface RandomOptions {
  readonly device?: Device;
  readonly generator?: Generator;
}
/** Standard normal numbers made on the host, the same on every device. */
export function randn(shape: Shape, { device, generator }: RandomOptions = {}): Tensor {
  const from = generator ?? device?.generator ?? currentGenerator("randn");
  return tensorOf(Float32Array.from(from.hostNormal(sizeOf(shape))), { shape, device: device ?? from.key.device });
}
export function rand(shape: Shape, { device, generator }: RandomOptions = {}): Tensor {
  const from = generator ?? device?.generator ?? currentGenerator("rand");
  return tensorOf(Float32Array.from(from.hostUniform(sizeOf(shape))), { shape, device: device ?? from.key.device });
}
