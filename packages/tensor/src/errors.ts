const brand = Symbol.for("@x/tensor.error");

/**
 * The base of every error of these packages: who (layer, operation, argument), what was expected, what came, what to do.
 * Recognised by a brand, not by `instanceof`, so that two copies of a package agree.
 */
export class TensorError extends Error {
  override readonly name: string = "TensorError";
  readonly [brand] = true;
  /** Property path of the layer in which the error arose, outermost first; filled in by the modules it passes through. */
  layer: string | undefined;
  readonly #text: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.#text = message;
  }

  static isInstance(error: unknown): error is TensorError {
    return typeof error === "object" && error !== null && (error as Record<symbol, unknown>)[brand] === true;
  }

  /** Prefixes the layer's path; called once by each module on the way out. */
  within(layer: string): void {
    this.layer = this.layer === undefined ? layer : `${layer}.${this.layer}`;
    this.message = `${this.layer}: ${this.#text}`;
  }
}

/** Shapes, axes or sizes that do not fit. */
export class ShapeError extends TensorError {
  override readonly name = "ShapeError";
}
/** An element type that an operation or a device does not take. */
export class DTypeError extends TensorError {
  override readonly name = "DTypeError";
}
/** Tensors of different devices, no default device, or a device that cannot do what is asked. */
export class DeviceError extends TensorError {
  override readonly name = "DeviceError";
}
/** No kernel serves an operation; the message lists who declined and why. */
export class MissingKernelError extends TensorError {
  override readonly name = "MissingKernelError";
}
/** A tensor used after its memory was given back or overwritten; names both places. */
export class LifetimeError extends TensorError {
  override readonly name = "LifetimeError";
}
/** A body of a step, scope or gradient that does what it may not: awaits, reads a value, or varies from call to call. */
export class TraceError extends TensorError {
  override readonly name = "TraceError";
}
/** The device cannot hold what is asked; says how much was asked, is live and is the limit. */
export class OutOfMemoryError extends TensorError {
  override readonly name = "OutOfMemoryError";
}
/** A device went away: unplugged, reset, or destroyed. Nothing on it can be read any more; what a checkpoint holds can be loaded on a new one. */
export class DeviceLostError extends TensorError {
  override readonly name = "DeviceLostError";
}
/** A kernel that the driver of this machine refuses to compile; it is taken out of the device's table, so that another serves next time. */
export class KernelRefusedError extends TensorError {
  override readonly name = "KernelRefusedError";
}

/** The caller's line outside this package, for errors that name places; cheap enough to be taken only when asked for. */
export function callSite(): string {
  const lines = (new Error().stack ?? "").split("\n").slice(1);
  const outside = lines.find((line) => !/[\\/]tensor[\\/](src|dist)[\\/]/.test(line)) ?? lines.at(-1) ?? "";
  return outside.trim().replace(/^at /, "") || "an unknown place";
}
