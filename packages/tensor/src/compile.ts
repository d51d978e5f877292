import { type ArgumentLeaf, argumentLeaves, bytesOfLeaf, type Hosted, type HostTensor, mapArguments, mapTensors } from "./arguments.ts";
import type { Cell } from "./cell.ts";
import { context, within } from "./context.ts";
import { type Device, defaultDevice } from "./device.ts";
import { type DType, dtypes } from "./dtype.ts";
import { TensorError, TraceError } from "./errors.ts";
import { store } from "./launch.ts";
import { lower, type Plan, SharedStorage } from "./lower.ts";
import { refusePromise, scope } from "./scope.ts";
import { contiguousStrides, type Shape, show, sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { fingerprint, outsideNames, Trace } from "./trace.ts";
import { Buffer, Value } from "./value.ts";

/** What selects structure: one plan for each combination. */
export type Statics = Readonly<Record<string, string | number | boolean>>;

export interface CompileOptions {
  readonly device?: Device;
  readonly name?: string;
  /** Plans kept; the least recently used goes first. */
  readonly maxPlans?: number;
  /** Run the body as it stands at every call instead of replaying a plan: for debugging, and for the test that both agree. */
  readonly eager?: boolean;
}

type WithStatics<S extends Statics> = S extends Record<string, never> ? [] : [statics: S];
/** A compiled step. The tensors it returns are loans: good until its next call, unless copied. */
export interface Step<A, S extends Statics, R> {
  (args: A, ...statics: WithStatics<S>): R;
  /** Compiles for these arguments without running, everything at once and beside other work: what the first call would else wait for. An eager step has nothing to compile. */
  prepare(args: A, ...statics: WithStatics<S>): Promise<void>;
  /** Launches and temporary bytes of each plan. */
  plans(): readonly { readonly key: string; readonly launches: number; readonly temporaryBytes: number }[];
  release(): void;
}

/** One call: the body with its statics filled in, and the arguments. */
interface Call {
  readonly device: Device;
  readonly name: string;
  readonly args: unknown;
  body(args: unknown): unknown;
}

/** Memory that a plan owns: an input, or a result. */
interface Slot {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly buffer: Buffer;
}

interface Compiled {
  readonly device: Device;
  readonly tableVersion: number;
  readonly plan: Plan;
  readonly inputs: readonly Slot[];
  /** What the body returned, with a slot in the place of each tensor. */
  readonly result: unknown;
  readonly owned: readonly Buffer[];
  /** Captured tensors, held for as long as the plan may read them. */
  readonly pinned: readonly Buffer[];
  /** Cells it writes: their loans end when it runs. */
  readonly written: readonly Cell[];
  /** The trace in words, and the names it gave to memory from outside: what an audit compares with. */
  readonly lines: readonly string[];
  readonly outside: (buffer: Buffer) => string;
  calls: number;
}

/** The body is traced again at these calls and compared: whatever it looks at beside its arguments would have been baked in. */
const audited = (call: number): boolean => call === 2 || call === 3 || /^[13]0+$/.test(String(call));

/**
 * Records `body` once for each combination of argument shapes and statics, and replays it from then on: a flat list of launches with planned memory and no
 * JavaScript in between. Everything that varies must come in as an argument, a cell, or a static; the body must be synchronous, make no cells and read no
 * values. Draws of random numbers count from 0 in each call, and the generator's key advances at its end.
 */
export function compile<T, R, S extends Statics = Record<string, never>>(
  body: (args: T, statics: S) => R,
  { device: given, name = body.name || "step", maxPlans = 8, eager = false }: CompileOptions = {},
): Step<Hosted<T>, S, R> {
  const plans = new Map<string, Compiled>();
  let shared: SharedStorage | undefined;

  const release = () => {
    for (const plan of plans.values()) drop(plan);
    plans.clear();
    shared?.release();
    shared = undefined;
  };
  const callOf = (args: Hosted<T>, statics: S): Call => ({
    device: given ?? defaultDevice(name),
    name,
    args,
    body: (traced) => body(traced as T, statics),
  });
  const find = (call: Call, statics: S, leaves: readonly ArgumentLeaf[]): Compiled => {
    if (shared && shared.device !== call.device) release();
    shared ??= new SharedStorage(call.device);
    const key = `${leaves.map(({ path, shape, dtype }) => `${path}:${dtype}${show(shape)}`).join(" ")} ${JSON.stringify(statics)}`;
    const known = plans.get(key);
    const usable = known?.tableVersion === call.device.tableVersion;
    if (known && !usable) drop(known);
    plans.delete(key);
    const compiled = usable ? known! : build(call, leaves, shared);
    // Insertion order is order of use: the first is the one that goes.
    plans.set(key, compiled);
    for (const [oldest, plan] of plans) {
      if (plans.size <= maxPlans) break;
      plans.delete(oldest);
      drop(plan);
    }
    return compiled;
  };
  const step = (args: Hosted<T>, statics = {} as S): R => {
    if (context.trace) throw new TraceError(`${name}: a compiled step was called inside another. Call its body instead.`);
    const call = callOf(args, statics);
    if (eager) return runEagerly(call) as R;
    const leaves = [...argumentLeaves(args, name)];
    const compiled = find(call, statics, leaves);
    compiled.calls++;
    if (compiled.calls > 1 && (call.device.strict || audited(compiled.calls))) audit(call, compiled);
    return replay(compiled, leaves) as R;
  };

  return Object.assign(step, {
    async prepare(args: Hosted<T>, statics = {} as S) {
      if (eager) return;
      const call = callOf(args, statics);
      await untilTaken(call.device, () => find(call, statics, [...argumentLeaves(args, name)]).plan);
    },
    plans: () => [...plans].map(([key, { plan }]) => ({ key, launches: plan.launches, temporaryBytes: plan.temporaryBytes })),
    release,
  }) as Step<Hosted<T>, S, R>;
}

/** Makes a plan again for as long as the machine refuses one of its kernels: that is out of the table then, and who serves instead takes its place. */
async function untilTaken(device: Device, plan: () => Plan): Promise<void> {
  // What surrounds the call is gone by the time a plan is made again.
  const { generator, precision } = context;
  for (;;) {
    const { tableVersion } = device;
    const { executable, companions } = within({ generator, precision }, plan);
    executable.prepare?.();
    for (const companion of companions) companion.prepare();
    try {
      return await device.settled();
    } catch (error) {
      if (!isRefusal(error) || device.strict || tableVersion === device.tableVersion) throw error;
    }
  }
}
const isRefusal = (error: unknown): boolean => TensorError.isInstance(error) && error.name === "KernelRefusedError";

function replay(compiled: Compiled, leaves: readonly ArgumentLeaf[]): unknown {
  const { device, inputs, plan } = compiled;
  for (const [i, { buffer }] of inputs.entries()) {
    const { value, dtype } = leaves[i]!;
    if (Tensor.isTensor(value)) scope(() => store(value.inner, buffer));
    else device.driver.write(buffer.storage, 0, bytesOfLeaf({ value, dtype }));
  }
  device.figures.launches += plan.launches;
  for (const companion of plan.companions) companion.refresh();
  plan.executable.run();
  for (const { buffer } of compiled.written) {
    buffer.version++;
    buffer.writtenAt = "a compiled step";
  }
  return mapSlots(compiled.result, (slot) => {
    slot.buffer.version++;
    slot.buffer.writtenAt = "the next call of the step that returned it";
    return onSlot(device, slot);
  });
}

function drop(compiled: Compiled): void {
  compiled.plan.executable.release();
  for (const companion of compiled.plan.companions) companion.release();
  for (const buffer of compiled.owned) compiled.device.pool.give(buffer);
  for (const buffer of compiled.pinned) buffer.release();
}

class ResultSlot implements Slot {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly buffer: Buffer;
  constructor({ shape, dtype, buffer }: Slot) {
    this.shape = shape;
    this.dtype = dtype;
    this.buffer = buffer;
  }
}

function mapSlots(result: unknown, map: (slot: ResultSlot) => Tensor): unknown {
  if (result instanceof ResultSlot) return map(result);
  if (Array.isArray(result)) return result.map((item) => mapSlots(item, map));
  if (typeof result === "object" && result !== null && Object.getPrototypeOf(result) === Object.prototype)
    return Object.fromEntries(Object.entries(result).map(([key, item]) => [key, mapSlots(item, map)]));
  return result;
}

const onSlot = (device: Device, { shape, dtype, buffer }: Slot): Tensor =>
  new Tensor(
    new Value(device, shape, dtype, { placement: { buffer, offset: 0, strides: contiguousStrides(shape), version: buffer.version } }),
  );

function build(call: Call, leaves: readonly ArgumentLeaf[], shared: SharedStorage): Compiled {
  const { device } = call;
  const owned: Buffer[] = [];
  const own = (shape: Shape, dtype: DType): Slot => {
    const buffer = device.pool.take(sizeOf(shape) * dtypes[dtype].bytes, true).retain();
    owned.push(buffer);
    return { shape, dtype, buffer };
  };
  try {
    const inputs = leaves.map(({ shape, dtype }) => own(shape, dtype));
    const traced = traceBody(call, inputs);
    // Results get memory of their own; in the trace they were names.
    const places = new Map<Buffer, Buffer>();
    const result = mapSlots(traced.result, ({ shape, dtype, buffer }) => {
      const slot = new ResultSlot(own(shape, dtype));
      places.set(buffer, slot.buffer);
      return slot as never;
    });
    const { applications, cells } = traced.trace;
    const reads = applications.flatMap((application) => application.reads.map(({ buffer }) => buffer));
    const captured = new Set(reads.filter((buffer) => !buffer.trace && !buffer.fixed));
    const writes = new Set(applications.flatMap((application) => application.writes.map(({ buffer }) => buffer)));
    const outside = outsideNames();
    const steady = new Set([...cells.keys()].map(({ buffer }) => buffer).filter((buffer) => !writes.has(buffer)));
    return {
      device,
      tableVersion: device.tableVersion,
      plan: lower(device, applications, places, shared, steady),
      inputs,
      result,
      owned,
      pinned: [...captured].map((buffer) => buffer.retain()),
      written: [...cells.keys()].filter((cell) => writes.has(cell.buffer)),
      lines: fingerprint(traced.trace, outside),
      outside,
      calls: 0,
    };
  } catch (error) {
    for (const buffer of owned) device.pool.give(buffer);
    throw error;
  }
}

/** Runs the body on names of memory: what it would launch, and what it returns, each tensor as a slot named in the trace. */
function traceBody({ device, name, args, body }: Call, inputs: readonly Slot[]): { trace: Trace; result: unknown } {
  const trace = new Trace();
  try {
    const result = within({ trace, tapes: [], device }, () =>
      scope(() => {
        let next = 0;
        const given = mapArguments(args, () => onSlot(device, inputs[next++]!));
        const made = withDraws(name, () => body(given));
        return mapTensors(made, ({ inner, shape, dtype }) => {
          const buffer = new Buffer(device, sizeOf(shape) * dtypes[dtype].bytes, trace);
          store(inner, buffer);
          return new ResultSlot({ shape, dtype, buffer });
        });
      }),
    );
    return { trace, result };
  } finally {
    // Nothing was written: loans from before stay good until the plan runs.
    for (const [cell, version] of trace.cells) cell.buffer.version = version;
  }
}

/** Runs a body with draws counted from 0, and advances the generator's key if it drew. */
function withDraws<R>(name: string, fn: () => R): R {
  const generator = context.generator ?? context.device!.generator;
  return generator.step(() => {
    const result = fn();
    refusePromise(result, name);
    if (generator.ordinal > 0) generator.advance();
    return result;
  });
}

function audit(call: Call, compiled: Compiled): void {
  const { trace } = traceBody(call, compiled.inputs);
  const now = fingerprint(trace, compiled.outside);
  const recorded = compiled.lines;
  const at = Array.from({ length: Math.max(now.length, recorded.length) }, (_, i) => i).find((i) => now[i] !== recorded[i]);
  if (at === undefined) return;
  throw new TraceError(
    `${call.name}: call ${compiled.calls} does something else than what was recorded, at launch ${at}:\n  recorded: ${recorded[at] ?? "(nothing)"}\n  now:      ${now[at] ?? "(nothing)"}\n` +
      "What varies from call to call must be an argument, a cell or a static; a number from a closure, a replaced field, Math.random or a date would be baked in.",
  );
}

function runEagerly({ device, name, args, body }: Call): unknown {
  const asTensor = (value: number | HostTensor | Tensor): Tensor => {
    if (Tensor.isTensor(value)) return value;
    const leaf = argumentLeaves(value, name).next().value as ArgumentLeaf;
    const buffer = device.pool.take(sizeOf(leaf.shape) * dtypes[leaf.dtype].bytes);
    device.driver.write(buffer.storage, 0, bytesOfLeaf({ value, dtype: leaf.dtype }));
    return onSlot(device, { ...leaf, buffer });
  };
  return within({ device }, () =>
    scope(() => {
      const given = mapArguments(args, asTensor);
      return mapTensors(
        withDraws(name, () => body(given)),
        (tensor) => tensor.copy(),
      );
    }),
  );
}
