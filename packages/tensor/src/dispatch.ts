import { record, tracking } from "./autograd.ts";
import { expectTensor } from "./cell.ts";
import { context, within } from "./context.ts";
import { type Device, defaultDevice } from "./device.ts";
import { DeviceError, ShapeError, TensorError } from "./errors.ts";
import { type Bound, isList, launch } from "./launch.ts";
import { type Contract, deviceOf, type Spec } from "./op.ts";
import { literal, materialize } from "./pointwise.ts";
import { contractNode, savedNames, vjpThroughReference } from "./rules.ts";
import { scope } from "./scope.ts";
import { show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { type Placement, Value } from "./value.ts";
import { viewOf } from "./view.ts";

type Made = Readonly<Record<string, Value | readonly Value[]>>;

/** Applies a contract: checks names, infers, finds who serves it, and records it for the gradients that want it. */
export function apply(
  contract: Contract,
  given: Readonly<Record<string, unknown>>,
  givenAttrs: Readonly<Record<string, unknown>>,
): unknown {
  const inputs = bindInputs(contract, given);
  const attrs = bindAttrs(contract, givenAttrs);
  const device = commonDevice(contract, inputs);
  const specs = contract.infer(inputs, attrs);
  for (const spec of Object.values(specs).flat()) device.requireDType((spec as Spec).dtype, contract.name);
  const listed = flatten(inputs);
  const tracked = tracking(listed);
  if (!tracked) return handOver(contract, make(device, contract, inputs, attrs, specs, new Set()));
  const served = contract.view !== undefined || device.select(contract, inputs, attrs, specs).kernel !== undefined;
  // Without a gradient of its own, and no kernel either, the reference's operations are recorded one by one.
  if (!contract.grad && !served) return handOver(contract, make(device, contract, inputs, attrs, specs, new Set()));
  const wanted = new Set(savedNames(contract, attrs).filter((name) => contract.outputs[name]?.output === "aux"));
  const made = within({ tapes: [] }, () => make(device, contract, inputs, attrs, specs, wanted));
  const outputs = distinct(made, listed);
  record(contract.grad ? contractNode(contract, inputs, attrs, outputs) : vjpThroughReference(contract, inputs, attrs, outputs));
  return handOver(contract, outputs, made);
}

/** Handles on the visible outputs; what making them held is let go. */
function handOver(contract: Contract, outputs: Made, held = outputs): unknown {
  const handles = visible(contract, outputs);
  release(held);
  return handles;
}

function release(outputs: Made): void {
  for (const value of Object.values(outputs).flat()) (value as Value).release();
}

/** The outputs as values of their own: gradients arrive by value, so one that stood for two outputs, or for an input as well, would receive them twice. */
function distinct(outputs: Made, inputs: readonly Value[]): Made {
  const taken = new Set(inputs);
  const own = (value: Value): Value => {
    const fresh = taken.has(value)
      ? new Value(value.device, value.shape, value.dtype, { placement: materialize(value).placement! })
      : value;
    taken.add(fresh);
    return fresh;
  };
  return Object.fromEntries(Object.entries(outputs).map(([name, made]) => [name, isList(made) ? made.map(own) : own(made)]));
}

/** Computes the outputs: as a view, by a kernel, or through the reference. Each is held once, until handles or a tape hold it. */
function make(
  device: Device,
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  specs: Readonly<Record<string, Spec | readonly Spec[]>>,
  wanted: ReadonlySet<string>,
): Made {
  if (contract.view) return hold(viewOf(contract, inputs, attrs, specs));
  const serve = contract.pointwise ? undefined : device.select(contract, inputs, attrs, specs).kernel;
  if (!serve && contract.reference && (contract.pointwise || !device.strict)) return runReference(device, contract, inputs, attrs, wanted);
  const made = Object.fromEntries(Object.entries(specs).filter(([name]) => contract.outputs[name]!.output !== "aux" || wanted.has(name)));
  const placed = launch(device, contract, inputs, attrs, made, wanted);
  const value = (spec: Spec, placement: Placement) => new Value(device, spec.shape, spec.dtype, { placement }).retain();
  return Object.fromEntries(
    Object.entries(made).map(([name, spec]) => {
      const at = placed[name]!;
      return [name, isList(spec) ? spec.map((one, i) => value(one, (at as readonly Placement[])[i]!)) : value(spec, at as Placement)];
    }),
  );
}

function hold(outputs: Readonly<Record<string, Value>>): Made {
  for (const value of Object.values(outputs)) value.retain();
  return outputs;
}

function runReference(
  device: Device,
  contract: Contract,
  inputs: Readonly<Record<string, Bound>>,
  attrs: Readonly<Record<string, unknown>>,
  wanted: ReadonlySet<string>,
): Made {
  if (!contract.pointwise) device.figures.references.set(contract.name, (device.figures.references.get(contract.name) ?? 0) + 1);
  // Its handles end with the scope; the values live on, held.
  return scope(() => {
    const all = contract.reference!(
      mapInputs(inputs, (value) => new Tensor(value)),
      attrs,
    );
    const made = Object.entries(all).filter(([name]) => contract.outputs[name]?.output !== "aux" || wanted.has(name));
    const held = (tensor: Tensor) => tensor.inner.retain();
    return Object.fromEntries(made.map(([name, result]) => [name, isList(result) ? result.map(held) : held(result as Tensor)]));
  });
}

function visible(contract: Contract, outputs: Made): unknown {
  const names = Object.keys(contract.outputs).filter((name) => contract.outputs[name]!.output !== "aux");
  const handle = (made: Value | readonly Value[]) => (isList(made) ? made.map((value) => new Tensor(value)) : new Tensor(made));
  if (names.length === 1) return handle(outputs[names[0]!]!);
  return Object.fromEntries(names.map((name) => [name, handle(outputs[name]!)]));
}

export function bindInputs(contract: Contract, given: Readonly<Record<string, unknown>>): Record<string, Bound> {
  for (const name of Object.keys(given))
    if (!(name in contract.inputs))
      throw new TensorError(`${contract.name}: has no input "${name}"; its inputs are ${Object.keys(contract.inputs).join(", ")}.`);
  const device = deviceOf(contract.name, given);
  const bound: Record<string, Bound> = {};
  for (const [name, { input }] of Object.entries(contract.inputs)) {
    const value = given[name];
    const who = `${contract.name}: ${name}`;
    if (value === undefined && input === "maybe") bound[name] = undefined;
    else if (input === "many") {
      if (!Array.isArray(value)) throw new TensorError(`${who}: expected a list of tensors.`);
      bound[name] = value.map((item) => expectTensor(item, who));
    } else if (input === "scalar" && typeof value === "number") bound[name] = literal(device, value, "f32");
    else bound[name] = expectTensor(value, who);
    if (input === "scalar" && sizeOf((bound[name] as Value).shape) !== 1)
      throw new ShapeError(`${who}: expected a number or a tensor of one element, got shape ${show((bound[name] as Value).shape)}.`);
  }
  return bound;
}

function bindAttrs(contract: Contract, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  for (const name of Object.keys(given))
    if (!(name in contract.attrs))
      throw new TensorError(
        `${contract.name}: has no attribute "${name}"; its attributes are ${Object.keys(contract.attrs).join(", ") || "none"}.`,
      );
  const bound: Record<string, unknown> = {};
  for (const [name, fallback] of Object.entries(contract.attrs)) {
    const isRequired = typeof fallback === "object" && fallback !== null && "required" in fallback;
    if (isRequired && given[name] === undefined) throw new TensorError(`${contract.name}: attribute "${name}" is required.`);
    bound[name] = given[name] ?? (isRequired ? undefined : fallback);
  }
  return bound;
}

function commonDevice(contract: Contract, inputs: Readonly<Record<string, Bound>>): Device {
  let first: { name: string; device: Device } | undefined;
  for (const [name, bound] of Object.entries(inputs))
    for (const value of bound === undefined ? [] : isList(bound) ? bound : [bound]) {
      first ??= { name, device: value.device };
      if (value.device !== first.device)
        throw new DeviceError(
          `${contract.name}: ${first.name} is on device ${first.device.name}, ${name} on ${value.device.name}. Move one with .to(device), after awaiting it.`,
        );
    }
  return first?.device ?? defaultDevice(contract.name);
}

export const flatten = (inputs: Readonly<Record<string, Bound>>): Value[] =>
  Object.values(inputs).flatMap((bound) => bound ?? []) as Value[];

export function mapInputs<R>(inputs: Readonly<Record<string, Bound>>, map: (value: Value) => R): Record<string, R | R[] | undefined> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, bound]) => [name, bound === undefined ? undefined : isList(bound) ? bound.map(map) : map(bound)]),
  );
}

/** Every output of an operation by name, auxiliary ones too, unseen by gradients: what a test of a kernel compares. */
export function everyOutput(
  { contract }: { readonly contract: Contract },
  given: Readonly<Record<string, unknown>>,
  givenAttrs: Readonly<Record<string, unknown>> = {},
): Record<string, Tensor | readonly Tensor[]> {
  const inputs = bindInputs(contract, given);
  const attrs = bindAttrs(contract, givenAttrs);
  const device = commonDevice(contract, inputs);
  const outputs = within({ tapes: [] }, () =>
    make(device, contract, inputs, attrs, contract.infer(inputs, attrs), new Set(Object.keys(contract.outputs))),
  );
  const handles = Object.entries(outputs).map(([name, made]) => [
    name,
    isList(made) ? made.map((value) => new Tensor(value)) : new Tensor(made),
  ]);
  release(outputs);
  return Object.fromEntries(handles);
}

/** Who would serve an operation on these inputs, and why others decline. */
export function explain(
  device: Device,
  op: { readonly contract: Contract },
  inputs: Readonly<Record<string, unknown>>,
  attrs: Readonly<Record<string, unknown>> = {},
) {
  return within({ device: context.device ?? device }, () => {
    const bound = bindInputs(op.contract, inputs);
    const all = bindAttrs(op.contract, attrs);
    const { kernel, declined } = device.select(op.contract, bound, all, op.contract.infer(bound, all));
    const server = kernel?.name ?? (op.contract.view ? "a view, nothing runs" : op.contract.reference ? "the reference" : "nobody");
    return { server, declined };
  });
}
