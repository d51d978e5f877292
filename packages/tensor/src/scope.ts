import { context, within } from "./context.ts";
import { TraceError } from "./errors.ts";
import { Tensor } from "./tensor.ts";

/** Handles made while it is the innermost scope; freed when it ends, but for what is returned. */
export class Scope {
  readonly handles = new Set<Tensor>();
  readonly parent: Scope | undefined;
  constructor(parent: Scope | undefined) {
    this.parent = parent;
  }

  /** Frees every handle but those in `kept`, which move to the scope outside. */
  end(kept: ReadonlySet<Tensor>): void {
    for (const tensor of this.handles) {
      if (kept.has(tensor)) tensor.adopt(this.parent);
      else tensor.dispose();
    }
    this.handles.clear();
  }
}

/**
 * Runs `fn`; what it made and neither returned nor saved for a gradient goes back to the pool. Synchronous: a promise is refused,
 * since a scope cannot tell whose tensors are made while it waits.
 */
export function scope<R>(fn: () => R): R {
  const inner = new Scope(context.scope);
  let kept: ReadonlySet<Tensor> = new Set();
  try {
    const result = within({ scope: inner }, fn);
    refusePromise(result, "scope");
    kept = new Set(tensorsIn(result));
    return result;
  } finally {
    inner.end(kept);
  }
}

/** A scope for `using`: `using s = openScope()` ends it with the block; `s.keep(tensor)` lets one escape. */
export function openScope(): Disposable & { keep<T extends Tensor>(tensor: T): T } {
  const inner = new Scope(context.scope);
  context.scope = inner;
  const kept = new Set<Tensor>();
  return {
    keep(tensor) {
      kept.add(tensor);
      return tensor;
    },
    [Symbol.dispose]() {
      context.scope = inner.parent;
      inner.end(kept);
    },
  };
}

export function refusePromise(result: unknown, who: string): void {
  if (typeof (result as { then?: unknown } | undefined)?.then === "function")
    throw new TraceError(
      `${who}: the body returned a promise, but it must be synchronous. Await after it; read tensors from what it returns.`,
    );
}

/** Every tensor in a result: itself, or those in its arrays, maps and plain records. */
export function* tensorsIn(result: unknown): Generator<Tensor> {
  if (Tensor.isTensor(result)) yield result;
  else if (Array.isArray(result) || result instanceof Set) for (const item of result) yield* tensorsIn(item);
  else if (result instanceof Map) for (const item of result.values()) yield* tensorsIn(item);
  else if (typeof result === "object" && result !== null && isPlain(result))
    for (const item of Object.values(result)) yield* tensorsIn(item);
}

export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
