import type { Bound } from "./launch.ts";
import { contiguous } from "./launch.ts";
import type { Contract, Spec } from "./op.ts";
import { materialize } from "./pointwise.ts";
import { checkedPlacement, Value } from "./value.ts";

/** The output of a view: the input's memory seen otherwise; a contiguous copy of it where no strides can say it. */
export function viewOf(
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  specs: Readonly<Record<string, unknown>>,
): Record<string, Value> {
  const [name] = Object.keys(contract.outputs) as [string];
  const spec = specs[name] as Spec;
  const source = materialize(Object.values(inputs)[0] as Value);
  const seen = tryView(contract, source, attrs, spec);
  if (seen) return { [name]: seen };
  const copied = contiguous(source).retain();
  const ofCopy = tryView(contract, copied, attrs, spec)!;
  copied.release();
  return { [name]: ofCopy };
}

function tryView(contract: Contract, source: Value, attrs: Readonly<Record<string, unknown>>, spec: Spec): Value | undefined {
  const placement = checkedPlacement(source, contract.name);
  const seen = contract.view!(source.shape, placement.strides, attrs as Record<string, unknown>);
  if (!seen) return undefined;
  return new Value(source.device, spec.shape, spec.dtype, {
    placement: { buffer: placement.buffer, offset: placement.offset + seen.offset, strides: seen.strides, version: placement.version },
  });
}
