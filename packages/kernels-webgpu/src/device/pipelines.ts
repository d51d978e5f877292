import { KernelRefusedError } from "@x/tensor";
import { bindingCount, moduleSource } from "../wgsl/declarations.ts";
import type { WebgpuLaunch } from "./launch.ts";
import type { Layout } from "./layout.ts";
import { Pipeline } from "./pipeline.ts";

/** Pipelines by source and layout. A source that the driver of this machine refuses is reported late, with its compiler's words. */
export class Pipelines {
  readonly #device: GPUDevice;
  /** By the kernel's code, then by everything that is put before it. */
  readonly #known = new Map<string, Map<string, Pipeline>>();
  readonly #groups = new Map<string, { readonly group: GPUBindGroupLayout; readonly layout: GPUPipelineLayout }>();
  readonly #onRefused: (kernel: string, error: KernelRefusedError) => void;
  readonly #checks = new Set<Promise<void>>();
  /** How many were compiled since the start. */
  count = 0;

  constructor(device: GPUDevice, onRefused: (kernel: string, error: KernelRefusedError) => void) {
    this.#device = device;
    this.#onRefused = onRefused;
  }

  /** `kernel` is whom a refusal names. Nothing is compiled yet. */
  get(kernel: string, launch: WebgpuLaunch, layout: Layout): Pipeline {
    const byCode = this.#known.get(launch.code) ?? new Map<string, Pipeline>();
    this.#known.set(launch.code, byCode);
    const signature = signatureOf(launch, layout);
    const known = byCode.get(signature);
    if (known) return known;
    const { label } = launch;
    const pipeline = new Pipeline(this.#device, {
      ...{ label, ...this.#groupLayout(layout) },
      source: () => moduleSource(launch, layout),
      begun: (objection) => this.#follow(kernel, label, objection),
    });
    byCode.set(signature, pipeline);
    return pipeline;
  }

  /** Waits until the driver has said of everything compiled so far whether it takes it. */
  async checked(): Promise<void> {
    await Promise.all(this.#checks);
  }

  #follow(kernel: string, label: string, objection: Promise<string | undefined>): void {
    this.count++;
    const check = objection.then((words) => {
      this.#checks.delete(check);
      if (words === undefined) return;
      this.#onRefused(
        kernel,
        new KernelRefusedError(
          `device webgpu: the driver refuses the kernel ${kernel} (${label}): ${words} ` +
            "What was launched with it has not run. The kernel is out of the table now: the next call is served by another, or by the reference.",
          { cause: words },
        ),
      );
    });
    this.#checks.add(check);
  }

  #groupLayout({ slots }: Layout): { group: GPUBindGroupLayout; layout: GPUPipelineLayout } {
    const modes = slots.flatMap(({ writable, ranges }) => ranges.map(() => (writable ? "storage" : "read-only-storage")));
    const key = modes.join();
    const known = this.#groups.get(key);
    if (known) return known;
    const compute = 0x4;
    const group = this.#device.createBindGroupLayout({
      entries: [
        ...modes.map(
          (type, binding): GPUBindGroupLayoutEntry => ({ binding, visibility: compute, buffer: { type: type as GPUBufferBindingType } }),
        ),
        { binding: bindingCount(slots), visibility: compute, buffer: { type: "uniform" } },
      ],
    });
    const made = { group, layout: this.#device.createPipelineLayout({ bindGroupLayouts: [group] }) };
    this.#groups.set(key, made);
    return made;
  }
}

const signatureOf = ({ buffers, params, enable }: WebgpuLaunch, { pattern }: Layout): string =>
  `${pattern} | ${buffers.map(({ name, elements, access }) => `${name}:${elements.dtype}${elements.width}${access}`).join()} | ${Object.entries(
    params,
  )
    .map(([name, param]) => `${name}:${Object.keys(param)[0]}`)
    .join()} | ${enable?.join() ?? ""}`;
