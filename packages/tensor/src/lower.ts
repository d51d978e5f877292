import { type Companion, companionOf, keepsCompanions } from "./companion.ts";
import type { Device } from "./device.ts";
import type { BoundStep, Executable, KernelPlan, LayoutSpec } from "./kernel.ts";
import { type Application, bindings } from "./launch.ts";
import type { Spec } from "./op.ts";
import { sizeClass } from "./pool.ts";
import { isContiguous, sameShape } from "./shape.ts";
import { Trace } from "./trace.ts";
import { Buffer } from "./value.ts";

/** Storage that plans of one step share: what is only needed while a plan runs. */
export class SharedStorage {
  readonly device: Device;
  readonly #slots = new Map<number, Buffer[]>();

  constructor(device: Device) {
    this.device = device;
  }

  /** The `index`-th slot of a size class, made when first asked for. */
  slot(size: number, index: number): Buffer {
    const slots = this.#slots.get(size) ?? [];
    this.#slots.set(size, slots);
    slots[index] ??= this.device.pool.take(size, false, size <= (this.device.driver.sideBySide ?? 0)).retain();
    return slots[index];
  }

  release(): void {
    for (const slots of this.#slots.values()) for (const buffer of slots) buffer.release();
    this.#slots.clear();
  }
}

export interface Plan {
  readonly executable: Executable;
  readonly launches: number;
  /** Bytes that live only while the plan runs. */
  readonly temporaryBytes: number;
  /** Brought up to date before each run. */
  readonly companions: readonly Companion[];
}

/**
 * `results` says where what the step returns is kept; `steady` is the memory of cells that it reads and does not write.
 *
 * Makes a recorded step into a list of bound launches: what nobody reads is dropped, results go straight into the cells they are meant for,
 * kernels write over what is read for the last time, and everything else shares slots by liveness.
 */
export function lower(
  device: Device,
  recorded: readonly Application[],
  results: ReadonlyMap<Buffer, Buffer>,
  shared: SharedStorage,
  steady: ReadonlySet<Buffer>,
): Plan {
  const renamed = recorded.map((application) => ({
    ...application,
    writes: application.writes.map((bind) => ({ ...bind, buffer: results.get(bind.buffer) ?? bind.buffer })),
  }));
  const live = removeDead(renamed);
  const placed = forwardStores(live);
  const places = new Map<Buffer, Buffer>(placed.moved);
  const plans = planKernels(device, placed.applications, places, steady);
  const temporaryBytes = assignSlots(placed.applications, plans, places, shared);
  const steps: BoundStep[] = placed.applications.map((application, i) => {
    const { plan, scratch, companions } = plans[i]!;
    const bound = bindings(application, (buffer) => resolve(buffer, places).storage);
    for (const [name, { memory }] of companions) bound[name] = { storage: memory.storage, offset: 0, bytes: memory.bytes };
    for (const { name, buffer } of scratch) bound[name] = { storage: resolve(buffer, places).storage, offset: 0, bytes: buffer.bytes };
    return { name: application.kernel.name, launches: plan.launches, bindings: bound };
  });
  return {
    executable: device.driver.build(steps),
    launches: steps.reduce((n, step) => n + step.launches.length, 0),
    temporaryBytes,
    companions: plans.flatMap(({ companions }) => [...companions.values()]),
  };
}

/** Where a buffer finally lies: follows decisions to share. */
function resolve(buffer: Buffer, places: ReadonlyMap<Buffer, Buffer>): Buffer {
  let at = buffer;
  for (let next = places.get(at); next; next = places.get(at)) at = next;
  return at;
}

/** Backwards from what leaves the step: an application stays if something it writes is read later, or lies outside. */
function removeDead(recorded: readonly Application[]): Application[] {
  const needed = new Set<Buffer>();
  const kept: Application[] = [];
  for (const application of recorded.toReversed()) {
    if (!application.writes.some(({ buffer }) => needed.has(buffer) || !buffer.trace)) continue;
    for (const { buffer } of application.reads) needed.add(buffer);
    kept.push(application);
  }
  return kept.reverse();
}

/**
 * A temporary that is only made to be copied whole into a cell is computed there instead, where nobody in between reads what the cell held.
 * The producer itself may read it only through an input it is allowed to write over.
 */
function forwardStores(applications: readonly Application[]): { applications: Application[]; moved: Map<Buffer, Buffer> } {
  const moved = new Map<Buffer, Buffer>();
  const dropped = new Set<Application>();
  for (const [i, application] of applications.entries()) {
    if (!application.contract.copies) continue;
    const [read] = application.reads;
    const [write] = application.writes;
    const [source, target] = [read!.buffer, write!.buffer];
    if (!source.trace || target.trace || moved.has(source) || read!.offset !== 0 || write!.offset !== 0) continue;
    const producer = applications.findIndex((other) => other.writes.some(({ buffer }) => buffer === source));
    const between = applications.slice(producer + 1, i);
    const touched = between.some(
      (other) =>
        !dropped.has(other) && [...other.reads, ...other.writes].some(({ buffer }) => buffer === target || moved.get(buffer) === target),
    );
    const readLater = applications.slice(i + 1).some((other) => other.reads.some(({ buffer }) => buffer === source));
    const whole = isWholeCopy(application) && read!.bytes === write!.bytes;
    if (
      touched ||
      readLater ||
      !whole ||
      !mayWriteOver(applications[producer]!, source, (buffer) => buffer === target || moved.get(buffer) === target)
    )
      continue;
    moved.set(source, target);
    dropped.add(application);
  }
  return { applications: applications.filter((application) => !dropped.has(application)), moved };
}

function isWholeCopy(application: Application): boolean {
  const { shape, strides, offset } = application.specs.x as LayoutSpec;
  return offset === 0 && isContiguous(shape, strides);
}

/** Whether an application may write its output `output` into the target while reading other things: not at all read there, or through the input it may reuse. */
function mayWriteOver(application: Application, output: Buffer, isTarget: (buffer: Buffer) => boolean): boolean {
  const reading = application.reads.filter(({ buffer }) => isTarget(buffer));
  if (reading.length === 0) return true;
  const write = application.writes.find(({ buffer }) => buffer === output)!;
  const reusable = application.contract.mayReuse[write.name];
  return reading.every(
    ({ name, offset }) =>
      offset === 0 && reusable !== undefined && name.split(".")[0] === reusable && sameLayout(application, name, write.name),
  );
}

/** Elementwise in step: the input has the output's shape and dtype and lies contiguous from the start. */
function sameLayout(application: Application, input: string, output: string): boolean {
  const [name, index] = input.split(".") as [string, string | undefined];
  const entry = application.specs[name];
  const { shape, strides, dtype, offset } = (index === undefined ? entry : (entry as readonly LayoutSpec[])[Number(index)]) as LayoutSpec;
  const made = application.outputs[output.split(".")[0]!] as Spec;
  return offset === 0 && isContiguous(shape, strides) && dtype === made.dtype && sameShape(shape, made.shape);
}

interface Planned {
  readonly plan: ReturnType<Application["kernel"]["plan"]>;
  readonly scratch: readonly { readonly name: string; readonly buffer: Buffer }[];
  readonly companions: ReadonlyMap<string, Companion>;
}

/** Plans every kernel, telling it which outputs lie over an input that is read for the last time. */
function planKernels(
  device: Device,
  applications: readonly Application[],
  places: Map<Buffer, Buffer>,
  steady: ReadonlySet<Buffer>,
): Planned[] {
  const lastRead = lastUses(applications, places);
  const names = new Trace();
  return applications.map((application, i) => {
    const reused = new Set<string>();
    for (const write of application.writes) {
      const reusable = application.contract.mayReuse[write.name];
      if (reusable === undefined) continue;
      const already = resolve(write.buffer, places);
      const source = application.reads.find(({ name, buffer }) => {
        if (name.split(".")[0] !== reusable || !sameLayout(application, name, write.name)) return false;
        const at = resolve(buffer, places);
        if (at === already) return true;
        const free = at.trace !== undefined && lastRead.get(at) === i && already === write.buffer && already.trace !== undefined;
        const once = application.reads.filter((read) => resolve(read.buffer, places) === at).length === 1;
        return (
          free &&
          once &&
          at.bytes >= write.bytes &&
          !application.writes.some((other) => other !== write && resolve(other.buffer, places) === at)
        );
      });
      if (!source) continue;
      const at = resolve(source.buffer, places);
      if (at !== already) {
        places.set(write.buffer, at);
        lastRead.set(at, Math.max(i, lastRead.get(write.buffer) ?? i));
      }
      reused.add(write.name);
    }
    const { kernel, specs, outputs, attrs, wants } = application;
    const isSteady = (name: string) => application.reads.some((read) => read.name === name && steady.has(read.buffer));
    const plan = kernel.plan({
      specs,
      outputs,
      attrs,
      caps: device.driver.caps,
      wants: (name) => wants.has(name),
      reuses: (name) => reused.has(name),
      keeps: (name) => isSteady(name) && keepsCompanions(device),
    });
    const companions = companionsOf(application, plan);
    const scratch = Object.entries(plan.scratch ?? {}).map(([name, bytes]) => ({ name, buffer: new Buffer(device, bytes, names) }));
    return { plan, scratch, companions };
  });
}

function companionsOf({ reads }: Application, { companions = {} }: KernelPlan): Map<string, Companion> {
  return new Map(
    Object.entries(companions).map(([name, plan]) => [name, companionOf(reads.find((read) => read.name === plan.of)!, name, plan)]),
  );
}

function lastUses(applications: readonly Application[], places: ReadonlyMap<Buffer, Buffer>): Map<Buffer, number> {
  const last = new Map<Buffer, number>();
  for (const [i, { reads, writes }] of applications.entries())
    for (const { buffer } of [...reads, ...writes]) last.set(resolve(buffer, places), i);
  return last;
}

/** Applications for which a small slot rests after its last use where the driver runs launches side by side. */
const rest = 64;

/** Free slots of one size, by when they became so. */
class FreeSlots {
  readonly #slots: { readonly index: number; readonly since: number }[] = [];

  put(index: number, since: number): void {
    this.#slots.push({ index, since });
  }

  take(size: number, now: number, sideBySide: number | undefined): number | undefined {
    if (sideBySide === undefined) return this.#slots.pop()?.index;
    const [oldest] = this.#slots;
    if (!oldest || (size <= sideBySide && now - oldest.since < rest)) return undefined;
    return this.#slots.shift()!.index;
  }
}

/** Gives each temporary a slot from its first write to its last use; slots are shared between plans. */
function assignSlots(
  applications: readonly Application[],
  plans: readonly Planned[],
  places: Map<Buffer, Buffer>,
  shared: SharedStorage,
): number {
  const last = lastUses(applications, places);
  const { sideBySide } = shared.device.driver;
  const free = new Map<number, FreeSlots>();
  const made = new Map<number, number>();
  const ends: { size: number; index: number }[][] = applications.map(() => []);
  let bytes = 0;
  const assign = (buffer: Buffer, now: number, until: number) => {
    const size = sizeClass(buffer.bytes);
    if (!free.has(size)) free.set(size, new FreeSlots());
    let index = free.get(size)!.take(size, now, sideBySide);
    if (index === undefined) {
      index = made.get(size) ?? 0;
      made.set(size, index + 1);
      bytes += size;
    }
    places.set(buffer, shared.slot(size, index));
    ends[until]!.push({ size, index });
  };
  for (const [i, application] of applications.entries()) {
    for (const { buffer } of application.writes) {
      const at = resolve(buffer, places);
      if (at.trace) assign(at, i, last.get(at)!);
    }
    for (const { buffer } of plans[i]!.scratch) assign(buffer, i, i);
    for (const { size, index } of ends[i]!) free.get(size)!.put(index, i);
  }
  return bytes;
}
