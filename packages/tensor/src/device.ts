import { context, within } from "./context.ts";
import { apply } from "./dispatch.ts";
import { type DType, dtypes } from "./dtype.ts";
import { DeviceError, DTypeError, MissingKernelError, TensorError } from "./errors.ts";
import { Generator } from "./generator.ts";
import { type Driver, type Kernel, tensorInterface } from "./kernel.ts";
import { type Application, type Bound, bindings, isList } from "./launch.ts";
import type { Contract, Spec } from "./op.ts";
import { type MemoryFigures, Pool } from "./pool.ts";
import { Profile } from "./profile.ts";
import { show } from "./shape.ts";

export interface DeviceOptions {
  readonly kernels?: readonly Kernel[];
  /** Refuse composite operations that no kernel serves, instead of running their reference. */
  readonly strict?: boolean;
  /** Record the line of every allocation and cell write: slower, and leak reports and errors name places. */
  readonly debug?: boolean;
  /** Seed of the device's own generator, which initialises parameters and draws outside steps. */
  readonly seed?: number;
  /** Bytes that compiled steps may spend on what kernels derive from cells they do not write (packed weights); default 512 MiB, 0: derive at every call. */
  readonly companionBytes?: number;
}

/** Who serves an operation, and why others do not. */
export interface Explanation {
  readonly kernel: Kernel | undefined;
  readonly declined: readonly { readonly kernel: string; readonly reason: string }[];
}

/** Figures that a test watches: in steady state, launches are constant and nothing is allocated. */
export interface ExecutionFigures {
  launches: number;
  /** Applications of a composite that ran through its reference, by name of the contract. */
  readonly references: Map<string, number>;
}

/** A place to compute: a driver's memory and launches, a table of kernels, and figures. A value, not a global: two can live side by side. */
export class Device {
  readonly driver: Driver;
  readonly pool: Pool;
  readonly generator: Generator;
  readonly figures: ExecutionFigures = { launches: 0, references: new Map() };
  /** Bytes of companions, and how many there may be. */
  readonly companions: { bytes: number; readonly limit: number };
  strict: boolean;
  debug: boolean;
  readonly #kernels = new Map<Contract, Kernel[]>();
  readonly #names = new Map<string, Contract>();
  /** Kernels that turned out not to work on this machine, with why. */
  readonly #refused = new Map<string, string>();
  /** Raised by `use`: plans made with another table are not replayed. */
  tableVersion = 0;

  constructor(driver: Driver, { kernels = [], strict = false, debug = false, seed = 0, companionBytes = 2 ** 29 }: DeviceOptions = {}) {
    if (driver.interface !== tensorInterface)
      throw new DeviceError(
        `device ${driver.name}: built for tensor interface ${driver.interface}, this copy of the tensor package has ${tensorInterface}. Install matching versions.`,
      );
    this.driver = driver;
    this.strict = strict;
    this.debug = debug;
    this.companions = { bytes: 0, limit: companionBytes };
    this.pool = new Pool(this);
    this.use(kernels);
    this.generator = new Generator({ seed, device: this });
  }

  get name(): string {
    return this.driver.name;
  }

  /** Applies a contract to inputs on this device: what calling an operation does. */
  apply(contract: Contract, inputs: Readonly<Record<string, unknown>>, attrs: Readonly<Record<string, unknown>>): unknown {
    return apply(contract, inputs, attrs);
  }

  /** Adds kernels; the latest that accepts wins. */
  use(kernels: readonly Kernel[]): this {
    for (const kernel of kernels) {
      const { contract } = kernel;
      if (kernel.driver !== this.driver.name)
        throw new DeviceError(`device ${this.name}: kernel ${kernel.name} is made for ${kernel.driver} devices.`);
      if (kernel.interface !== tensorInterface)
        throw new DeviceError(`device ${this.name}: kernel ${kernel.name} has interface ${kernel.interface}, expected ${tensorInterface}.`);
      const known = this.#names.get(contract.name);
      if (known && known !== contract)
        throw new TensorError(
          `device ${this.name}: two different contracts are named "${contract.name}" (two copies of a package, or a name that is taken). Install one copy, or prefix the name.`,
        );
      this.#names.set(contract.name, contract);
      this.#kernels.set(contract, [...(this.#kernels.get(contract) ?? []), kernel]);
    }
    this.tableVersion++;
    return this;
  }

  /** Takes a kernel out of the table by its name: its driver found that it does not work on this machine. `explain` tells the reason. */
  refuse(kernel: string, reason: string): void {
    this.#refused.set(kernel, reason);
    this.tableVersion++;
  }

  /** The contracts this device has kernels for. */
  get contracts(): Contract[] {
    return [...this.#kernels.keys()];
  }

  select(
    contract: Contract,
    inputs: Readonly<Record<string, Bound>>,
    attrs: Readonly<Record<string, unknown>>,
    outputs: Readonly<Record<string, Spec | readonly Spec[]>>,
  ): Explanation {
    const declined: { kernel: string; reason: string }[] = [];
    for (const kernel of [...(this.#kernels.get(contract) ?? [])].reverse()) {
      const answer = this.#refused.get(kernel.name) ?? kernel.accepts?.({ specs: inputs, outputs, attrs, caps: this.driver.caps }) ?? true;
      if (answer === true) return { kernel, declined };
      declined.push({ kernel: kernel.name, reason: answer });
    }
    return { kernel: undefined, declined };
  }

  /** The kernel that serves, or an error that lists each refusal. */
  require(
    contract: Contract,
    inputs: Readonly<Record<string, Bound>>,
    attrs: Readonly<Record<string, unknown>>,
    outputs: Readonly<Record<string, Spec | readonly Spec[]>>,
  ): Kernel {
    const { kernel, declined } = this.select(contract, inputs, attrs, outputs);
    if (kernel) return kernel;
    const reasons =
      declined.length > 0 ? declined.map(({ kernel, reason }) => `${kernel}: ${reason}`).join("; ") : "it has no kernel for it";
    throw new MissingKernelError(
      `${contract.name}: device ${this.name} cannot serve it for ${describe(inputs)} (${reasons}). ${
        contract.reference
          ? "The device is strict; set device.strict = false to run the reference."
          : "Cast the inputs, or use a device that can."
      }`,
    );
  }

  run(application: Application): void {
    const { kernel, specs, outputs, attrs, wants } = application;
    const never = () => false;
    const plan = kernel.plan({
      specs,
      outputs,
      attrs,
      caps: this.driver.caps,
      wants: (name) => wants.has(name),
      reuses: never,
      keeps: never,
    });
    const scratch = Object.entries(plan.scratch ?? {}).map(([name, bytes]) => ({ name, buffer: this.pool.take(bytes).retain() }));
    const bound = bindings(application, (buffer) => buffer.storage);
    for (const { name, buffer } of scratch) bound[name] = { storage: buffer.storage, offset: 0, bytes: buffer.bytes };
    this.figures.launches += plan.launches.length;
    this.driver.run({ name: kernel.name, launches: plan.launches, bindings: bound });
    for (const { buffer } of scratch) buffer.release();
  }

  requireDType(dtype: DType, who: string): void {
    if (this.driver.dtypes.includes(dtype)) return;
    const { kind } = dtypes[dtype];
    const nearest = this.driver.dtypes.find((other) => dtypes[other].kind === kind) ?? this.driver.dtypes[0];
    throw new DTypeError(
      `${who}: device ${this.name} has no ${dtype}; the nearest it has is ${nearest}. Cast to it, or use another device.`,
    );
  }

  /** Runs `fn` and tells how long each kernel took, on the device's own clock where it has one. */
  async profile<R>(fn: () => R | Promise<R>): Promise<Profile<R>> {
    if (!this.driver.profile) throw new DeviceError(`device ${this.name}: it does not time its launches.`);
    await this.settled();
    const stop = this.driver.profile();
    try {
      const result = await fn();
      await this.settled();
      return new Profile(result, this.name, await stop());
    } catch (error) {
      await stop().catch(() => {});
      throw error;
    }
  }

  /** Live, pooled and peak bytes, and how many buffers are live. */
  memory(): MemoryFigures {
    return this.pool.figures();
  }

  /** Waits for everything launched; rejects with what the hardware reported late. */
  settled(): Promise<void> {
    return this.driver.settled();
  }

  close(): void {
    this.pool.clear();
    this.driver.close();
  }
}

const describe = (inputs: Readonly<Record<string, Bound>>): string =>
  Object.entries(inputs)
    .flatMap(([name, bound]) =>
      bound === undefined ? [] : (isList(bound) ? bound : [bound]).map((value) => `${name} ${value.dtype}${show(value.shape)}`),
    )
    .join(", ");

/** The device of new tensors and cells where none is named. None is implied: a program sets it. */
export function setDefaultDevice(device: Device | undefined): void {
  context.device = device;
}

/** Runs `fn` with another default device. */
export const withDevice = <R>(device: Device, fn: () => R): R => within({ device }, fn);

export function defaultDevice(who: string): Device {
  if (context.device) return context.device;
  throw new DeviceError(`${who}: no device. Set one once with setDefaultDevice(await wasm()), or pass { device }.`);
}
