import { type Device, DeviceError } from "@x/tensor";
import type { Caps } from "./caps.ts";
import { driverName } from "./name.ts";

export interface DriverOptions {
  /** Bytes that may be allocated in all; the hardware's own limit shows only late. Absent: no limit but the hardware's. */
  readonly memory?: number;
  /** Capabilities that planners are told instead of what the adapter has: lower limits than it has, or another kind of adapter, for tests. */
  readonly caps?: Partial<Caps>;
}

/** What happened on a device of this kind since its start. */
export interface WebgpuFigures {
  /** Command buffers handed to the queue, reading back not counted. */
  readonly submits: number;
  readonly dispatches: number;
  /** Pipelines compiled. */
  readonly pipelines: number;
  /** GPU buffers there are for tensors, and their bytes. */
  readonly buffers: number;
  readonly bytes: number;
  /** The subgroup matrices that products are made of, as in `Caps`; else "none", or why those that the adapter offers are not used. */
  readonly matrices: string;
}

/** Who the adapter says it is. */
export interface AdapterWords {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** What shared code may know of a driver of this package, which is found by its name and not by its class. */
interface Told {
  readonly figures: WebgpuFigures;
  readonly words: AdapterWords;
}

const told = (device: Device, who: string): Told => {
  if (device.driver.name !== driverName) throw new DeviceError(`${who}: takes a webgpu device, got ${device.name}.`);
  return device.driver as unknown as Told;
};

export const figuresOf = (device: Device): WebgpuFigures => told(device, "figuresOf").figures;
export const adapterOf = (device: Device): AdapterWords => told(device, "adapterOf").words;
