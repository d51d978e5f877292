import {
  type Binding,
  type BoundStep,
  DeviceLostError,
  type Driver,
  type DType,
  type Executable,
  type KernelRefusedError,
  type LaunchTime,
  OutOfMemoryError,
  TensorError,
  tensorInterface,
} from "@x/tensor";
import { parameterWords } from "../wgsl/declarations.ts";
import { type Caps, capsOf } from "./caps.ts";
import type { DriverOptions, WebgpuFigures } from "./figures.ts";
import type { WebgpuLaunch } from "./launch.ts";
import { firstWords, type Layout, layOut, type Range, rangeOf } from "./layout.ts";
import { Memory, type Storage } from "./memory.ts";
import { driverName } from "./name.ts";
import type { Pipeline } from "./pipeline.ts";
import { Pipelines } from "./pipelines.ts";
import { PassTimer } from "./profile.ts";
import { Readback } from "./readback.ts";
import { type Dispatch, Recorder } from "./recorder.ts";
import { mergeIndependent } from "./schedule.ts";

const served: readonly DType[] = ["f32", "f16", "bf16", "i32", "u32", "u8", "bool"];
type Bindings = Readonly<Record<string, Binding>>;

/** A launch ready to be bound: its pipeline, where its buffers lie, how large its grid is. */
interface Prepared {
  readonly launch: WebgpuLaunch;
  readonly pipeline: Pipeline;
  readonly layout: Layout;
  readonly grid: readonly [number, number, number];
}

/** The memory and launches of a GPUDevice as the tensor package wants them. */
export class WebgpuDriver implements Driver {
  readonly name = driverName;
  readonly interface = tensorInterface;
  readonly dtypes = served;
  readonly alignment = 256;
  /** Weights of small models and their gradients: what launches on larger ones do takes longer than launching. */
  readonly sideBySide = 1 << 18;
  caps: Caps;
  readonly gpu: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly recorder: Recorder;
  readonly #memory: Memory;
  readonly #pipelines: Pipelines;
  readonly #readback: Readback;
  /** Why no subgroup matrices are used. */
  #noMatrices = "none";
  /** What the hardware reported since somebody last waited. */
  readonly #late: Error[] = [];
  #lost: DeviceLostError | undefined;
  /** Resolves when the device is gone, with why. */
  readonly lost: Promise<DeviceLostError>;
  /** Told of kernels whose source is refused; set by who made the device. */
  onRefused: (kernel: string, error: KernelRefusedError) => void = () => {};

  constructor(adapter: GPUAdapter, gpu: GPUDevice, options: DriverOptions = {}) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.caps = { ...capsOf(adapter, gpu), ...options.caps } as Caps;
    this.recorder = new Recorder(gpu);
    this.#memory = new Memory(gpu, options, (error) => this.#late.push(error));
    this.#pipelines = new Pipelines(gpu, (kernel, error) => {
      this.#late.push(error);
      this.onRefused(kernel, error);
    });
    this.#readback = new Readback(gpu);
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      this.#late.push(new TensorError(`device webgpu: ${error.message}`));
    });
    this.lost = gpu.lost.then(({ reason, message }) => {
      this.#lost = new DeviceLostError(
        `device webgpu: the device was lost (${reason || "unknown"}: ${message || "no words from the driver"}). What was on it is gone. ` +
          "Open a new one with await webgpu() and load the last checkpoint.",
      );
      return this.#lost;
    });
  }

  get figures(): WebgpuFigures {
    const { submits, dispatches } = this.recorder.figures;
    return {
      submits,
      dispatches,
      pipelines: this.#pipelines.count,
      buffers: this.#memory.buffers,
      bytes: this.#memory.bytes,
      matrices: this.caps.matrices || this.#noMatrices,
    };
  }

  /** From now on planners see an adapter without f16 of its own. */
  withoutHalves(): void {
    const wide = this.caps.matrices.split(", ").filter((name) => !name.startsWith("f16"));
    this.caps = { ...this.caps, f16: false, matrices: wide.join(", ") };
  }

  /** From now on planners see no subgroup matrices; `why` is what the figures say. */
  withoutMatrices(why: string): void {
    this.#noMatrices = why;
    this.caps = { ...this.caps, matrices: "" };
  }

  get words() {
    const { vendor, architecture, device, description } = this.adapter.info;
    return { vendor, architecture, device, description };
  }

  allocate(bytes: number, together = false): Storage {
    this.#expectAlive();
    return this.#memory.allocate(bytes, together);
  }

  release(storage: unknown): void {
    if (this.#lost) return;
    this.recorder.flush();
    this.#memory.release(storage as Storage);
  }

  write(storage: unknown, offset: number, bytes: Uint8Array): void {
    this.#expectAlive();
    const { buffer, offset: base } = storage as Storage;
    this.recorder.flush();
    const whole = bytes.byteLength & ~3;
    if (whole > 0) this.gpu.queue.writeBuffer(buffer, base + offset, unshared(bytes), 0, whole);
    if (whole === bytes.byteLength) return;
    // The queue writes whole words; what follows the last one belongs to nobody.
    const rest = new Uint8Array(4);
    rest.set(bytes.subarray(whole));
    this.gpu.queue.writeBuffer(buffer, base + offset + whole, rest);
  }

  async read(storage: unknown, offset: number, bytes: number): Promise<Uint8Array> {
    this.#expectAlive();
    const { buffer, offset: base } = storage as Storage;
    this.recorder.flush();
    const copied = this.#readback.read(buffer, base + offset, bytes).catch((error: unknown) => error as Error);
    const [made] = await Promise.all([copied, this.#pipelines.checked()]);
    await this.#reportLate();
    if (made instanceof Error) throw this.#lost ?? new TensorError(`device webgpu: reading back failed: ${made.message}`, { cause: made });
    return made;
  }

  run({ name, launches, bindings }: BoundStep): void {
    this.#expectAlive();
    for (const launch of launches as readonly WebgpuLaunch[]) {
      const prepared = this.#prepare(name, launch, this.#ranges(name, launch, bindings));
      const uniform = this.recorder.place(parameterWords(prepared.launch.params, prepared.grid[0]));
      this.recorder.add(this.#bind(prepared, uniform));
    }
  }

  /** Parameters and bind groups are made once, launches that can run side by side become one; running encodes one pass. */
  build(steps: readonly BoundStep[]): Executable {
    this.#expectAlive();
    const placed = steps.flatMap(({ name, launches, bindings }, step) =>
      (launches as readonly WebgpuLaunch[]).map((launch) => ({ kernel: name, step, launch, ranges: this.#ranges(name, launch, bindings) })),
    );
    const prepared = mergeIndependent(placed, this.caps).map(({ kernel, launch, ranges }) => this.#prepare(kernel, launch, ranges));
    const words = prepared.map(({ launch, grid }) => parameterWords(launch.params, grid[0]));
    const places = offsetsOf(words, this.alignment / 4);
    const size = Math.max(256, 4 * places.total);
    const uniform = this.gpu.createBuffer({ size, usage: 0x40 | 0x8, label: "parameters of a step" });
    for (const [i, block] of words.entries()) this.gpu.queue.writeBuffer(uniform, 4 * places.offsets[i]!, block);
    const dispatches = prepared.map((one, i) =>
      this.#bind(one, { buffer: uniform, offset: 4 * places.offsets[i]!, size: 4 * words[i]!.length }),
    );
    return {
      prepare: () => {
        for (const { pipeline } of prepared) pipeline.ahead();
      },
      run: () => {
        this.#expectAlive();
        this.recorder.flush();
        this.recorder.submit(dispatches);
      },
      release: () => {
        if (!this.#lost) uniform.destroy();
      },
    };
  }

  profile(): () => Promise<readonly LaunchTime[]> {
    this.recorder.flush();
    const timer = new PassTimer(this.gpu);
    this.recorder.observer = timer;
    return async () => {
      this.recorder.flush();
      this.recorder.observer = undefined;
      return timer.times();
    };
  }

  async settled(): Promise<void> {
    this.#expectAlive();
    this.recorder.flush();
    await Promise.all([this.gpu.queue.onSubmittedWorkDone().catch(() => {}), this.#pipelines.checked()]);
    await this.#reportLate();
  }

  close(): void {
    this.gpu.destroy();
  }

  #ranges(kernel: string, launch: WebgpuLaunch, bindings: Bindings): Range[] {
    return launch.buffers.map(({ buffer }) => {
      const binding = bindings[buffer];
      if (!binding) throw new TensorError(`device webgpu: kernel ${kernel} launches on a buffer "${buffer}" that its plan does not have.`);
      return rangeOf(binding.storage as Storage, binding.offset, binding.bytes);
    });
  }

  #prepare(kernel: string, given: WebgpuLaunch, ranges: readonly Range[]): Prepared {
    const layout = layOut(given.buffers, ranges, this.caps);
    const launch = { ...given, params: { ...given.params, ...firstWords(given.buffers, layout) } };
    const count = layout.slots.reduce((n, slot) => n + slot.ranges.length, 0);
    if (count > this.caps.maxStorageBuffersPerShaderStage)
      throw new OutOfMemoryError(
        `device webgpu: kernel ${kernel} needs ${count} storage bindings (${launch.buffers.map(({ name }, i) => `${name} ${ranges[i]!.size} bytes`).join(", ")}), the adapter has ` +
          `${this.caps.maxStorageBuffersPerShaderStage} of at most ${this.caps.maxStorageBufferBindingSize} bytes. Use smaller tensors.`,
      );
    return { launch, pipeline: this.#pipelines.get(kernel, launch, layout), layout, grid: gridOf(launch, this.caps) };
  }

  #bind({ launch: { label }, pipeline, layout: { slots }, grid }: Prepared, uniform: GPUBufferBinding): Dispatch {
    const ranges = slots.flatMap((slot) => slot.ranges);
    const entries = [...ranges, uniform].map((resource, binding) => ({ binding, resource }));
    return { label, pipeline, grid, group: this.gpu.createBindGroup({ layout: pipeline.group, entries }) };
  }

  #expectAlive(): void {
    if (this.#lost) throw this.#lost;
  }

  /** Throws what went wrong since last time: the loss of the device before everything, then a refused kernel, then the rest. */
  async #reportLate(): Promise<void> {
    // Errors arrive by events of their own: let them.
    await Promise.resolve();
    if (this.#lost) throw this.#lost;
    const late = this.#late.splice(0);
    const first = late.find(({ name }) => name === "OutOfMemoryError") ?? late.find(({ name }) => name === "KernelRefusedError") ?? late[0];
    if (first) throw first;
  }
}

/** Dawn's queue refuses views of shared memory. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
}

/** A line of workgroups, folded into a plane where it is longer than a dimension may be. */
function gridOf({ groups }: WebgpuLaunch, { maxComputeWorkgroupsPerDimension: longest }: Caps): readonly [number, number, number] {
  if (groups <= longest) return [groups, 1, 1];
  const rows = Math.ceil(groups / longest);
  return [Math.ceil(groups / rows), rows, 1];
}

function offsetsOf(blocks: readonly { readonly length: number }[], step: number): { offsets: number[]; total: number } {
  let total = 0;
  const offsets = blocks.map(({ length }) => {
    const offset = total;
    total += Math.ceil(length / step) * step;
    return offset;
  });
  return { offsets, total };
}
