import type { Device } from "./device.ts";
import { LifetimeError } from "./errors.ts";
import type { CompanionPlan, Executable } from "./kernel.ts";
import type { Bind } from "./launch.ts";
import type { Buffer } from "./value.ts";

/**
 * What a kernel derives from a cell alone (a packed weight), kept beside it: made again only after the cell was written. Plans that want the same
 * share it; its memory goes back with the last of them, or with the cell.
 */
export class Companion {
  readonly memory: Buffer;
  readonly #cell: Buffer;
  readonly #key: string;
  readonly #executable: Executable;
  readonly #launches: number;
  #references = 0;
  /** The version of the cell that it was made from. */
  #version: number | undefined;

  constructor(cell: Buffer, key: string, { offset, bytes }: Bind, name: string, plan: CompanionPlan) {
    const { device } = cell;
    this.#cell = cell;
    this.#key = key;
    this.memory = device.pool.take(plan.bytes).retain();
    this.#launches = plan.launches.length;
    const bindings = {
      [plan.of]: { storage: cell.storage, offset, bytes },
      [name]: { storage: this.memory.storage, offset: 0, bytes: this.memory.bytes },
    };
    this.#executable = device.driver.build([{ name: `companion of ${plan.of}`, launches: plan.launches, bindings }]);
    device.companions.bytes += this.memory.bytes;
  }

  retain(): this {
    this.#references++;
    return this;
  }

  /** Begins to make what the first refresh would wait for. */
  prepare(): void {
    this.#executable.prepare?.();
  }

  /** Brings it up to date with the cell. */
  refresh(): void {
    const { storage, version, writtenAt, device } = this.#cell;
    if (version === this.#version) return;
    if (storage === undefined)
      throw new LifetimeError(
        `a compiled step reads a cell whose memory was given back by ${writtenAt}. Release the step, or keep the cell.`,
      );
    device.figures.launches += this.#launches;
    this.#executable.run();
    this.#version = version;
  }

  release(): void {
    if (--this.#references === 0) this.drop();
  }

  /** Gives the memory back. Calling it again does nothing. */
  drop(): void {
    if (!this.#cell.companions.delete(this.#key)) return;
    this.#cell.device.companions.bytes -= this.memory.bytes;
    this.#executable.release();
    this.memory.release();
  }
}

/** Whether a device has bytes left for companions. */
export const keepsCompanions = ({ companions: { bytes, limit } }: Device): boolean => bytes < limit;

/** The companion that `plan` describes, of the cell that `bind` reads. */
export function companionOf(bind: Bind, name: string, plan: CompanionPlan): Companion {
  const cell = bind.buffer;
  const key = `${bind.offset} ${name} ${JSON.stringify(plan.launches)}`;
  const made = cell.companions.get(key) ?? new Companion(cell, key, bind, name, plan);
  cell.companions.set(key, made);
  return made.retain();
}
