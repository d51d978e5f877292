import type { Tape } from "./autograd.ts";
import type { Cell } from "./cell.ts";
import type { Device } from "./device.ts";
import type { Generator } from "./generator.ts";
import type { Policy } from "./precision.ts";
import type { Scope } from "./scope.ts";
import type { Tensor } from "./tensor.ts";
import type { Trace } from "./trace.ts";

/** What surrounds the running code: the only ambient state of the package. Bodies are synchronous, so plain nesting is enough. */
export const context: {
  device: Device | undefined;
  scope: Scope | undefined;
  /** Gradients being taken, outermost first. */
  tapes: readonly Tape[];
  /** The step being recorded; undefined when operations run as they are called. */
  trace: Trace | undefined;
  generator: Generator | undefined;
  /** What f32 parameters are read as; undefined: as they are. */
  precision: Policy | undefined;
  /** A checkpointed body runs again: its writes were done the first time. */
  recomputing: boolean;
  /** Cells that a checkpointed body has written so far: reading one again could not be repeated. */
  written: Set<Cell> | undefined;
  /** Tensors that a checkpointed body has read so far. */
  read: Set<Tensor> | undefined;
} = {
  device: undefined,
  scope: undefined,
  tapes: [],
  trace: undefined,
  generator: undefined,
  precision: undefined,
  recomputing: false,
  written: undefined,
  read: undefined,
};

/** Runs `fn` with parts of the context replaced, and puts them back whatever happens. */
export function within<R>(change: Partial<typeof context>, fn: () => R): R {
  const before = { ...context };
  Object.assign(context, change);
  try {
    return fn();
  } finally {
    for (const key of Object.keys(change) as (keyof typeof context)[]) (context as Record<string, unknown>)[key] = before[key];
  }
}
