import type { LaunchTime } from "@x/tensor";
import { type Dispatch, encodePass, type PassObserver } from "./recorder.ts";

/** Dispatches whose beginnings and ends fit into one query set. */
const perSet = 2048;

interface Batch {
  readonly dispatches: readonly Dispatch[];
  /** Nanoseconds, two for each dispatch; absent where the adapter has no timestamps. */
  readonly stamps?: GPUBuffer;
  readonly queries?: GPUQuerySet;
}

/** Gives each dispatch a pass of its own with the GPU's clock at both ends. */
export class PassTimer implements PassObserver {
  readonly #device: GPUDevice;
  readonly #batches: Batch[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  encode(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
    for (let i = 0; i < dispatches.length; i += perSet) this.#batches.push(this.#encode(encoder, dispatches.slice(i, i + perSet)));
  }

  #encode(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): Batch {
    if (!this.#device.features.has("timestamp-query")) {
      encodePass(encoder, dispatches);
      return { dispatches };
    }
    const count = 2 * dispatches.length;
    const queries = this.#device.createQuerySet({ type: "timestamp", count });
    for (const [i, dispatch] of dispatches.entries())
      encodePass(encoder, [dispatch], {
        timestampWrites: { querySet: queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
    // QUERY_RESOLVE and COPY_SRC; MAP_READ and COPY_DST.
    const resolved = this.#device.createBuffer({ size: 8 * count, usage: 0x200 | 0x4 });
    const stamps = this.#device.createBuffer({ size: 8 * count, usage: 0x1 | 0x8 });
    encoder.resolveQuerySet(queries, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, stamps, 0, 8 * count);
    return { dispatches, stamps, queries };
  }

  /** What was timed, once it has run, in microseconds from the first. */
  async times(): Promise<LaunchTime[]> {
    const times: LaunchTime[] = [];
    let first: bigint | undefined;
    for (const { dispatches, stamps, queries } of this.#batches) {
      await stamps?.mapAsync(0x1);
      const clock = stamps && new BigUint64Array(stamps.getMappedRange().slice(0));
      first ??= clock?.[0];
      for (const [i, { label }] of dispatches.entries()) {
        const [begin, end] = clock ? [clock[2 * i]!, clock[2 * i + 1]!] : [];
        const micro = (from: bigint, to: bigint) => Number(to - from) / 1000;
        times.push({
          kernel: label,
          start: begin === undefined ? Number.NaN : micro(first!, begin),
          duration: begin === undefined ? Number.NaN : Math.max(0, micro(begin, end!)),
        });
      }
      stamps?.destroy();
      queries?.destroy();
    }
    return times;
  }
}
