import { KernelRefusedError } from "@x/tensor";
import { bindingCount, moduleSource } from "../wgsl/declarations.ts";
import type { WebgpuLaunch } from "./launch.ts";
import type { Layout } from "./layout.ts";

export interface Compiled {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroupLayout;
}

/** Pipelines by source and layout. A source that the driver of this machine refuses is reported late, with its compiler's words. */
export class Pipelines {
  readonly #device: GPUDevice;
  /** By the kernel's code, then by everything that is put before it. */
  readonly #known = new Map<string, Map<string, Compiled>>();
  readonly #groups = new Map<string, { readonly group: GPUBindGroupLayout; readonly layout: GPUPipelineLayout }>();
  readonly #onRefused: (kernel: string, error: KernelRefusedError) => void;
  readonly #checks = new Set<Promise<void>>();
  /** How many were compiled since the start. */
  count = 0;

  constructor(device: GPUDevice, onRefused: (kernel: string, error: KernelRefusedError) => void) {
    this.#device = device;
    this.#onRefused = onRefused;
  }

  /** `kernel` is whom a refusal names. */
  get(kernel: string, launch: WebgpuLaunch, layout: Layout): Compiled {
    const byCode = this.#known.get(launch.code) ?? new Map<string, Compiled>();
    this.#known.set(launch.code, byCode);
    const signature = signatureOf(launch, layout);
    const known = byCode.get(signature);
    if (known) return known;
    const source = moduleSource(launch, layout);
    const { group, layout: pipelineLayout } = this.#groupLayout(layout);
    this.count++;
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ code: source, label: launch.label });
    const pipeline = this.#device.createComputePipeline({
      label: launch.label,
      layout: pipelineLayout,
      compute: { module, entryPoint: "main" },
    });
    const check = this.#check(kernel, launch.label, module);
    this.#checks.add(check);
    void check.finally(() => this.#checks.delete(check));
    const compiled = { pipeline, group };
    byCode.set(signature, compiled);
    return compiled;
  }

  /** Waits until the driver has said of everything compiled so far whether it takes it. */
  async checked(): Promise<void> {
    await Promise.all(this.#checks);
  }

  async #check(kernel: string, label: string, module: GPUShaderModule): Promise<void> {
    const error = await this.#device.popErrorScope().catch(() => null);
    if (!error) return;
    const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] as readonly GPUCompilationMessage[] }));
    const words = messages.filter(({ type }) => type === "error").map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
    this.#onRefused(
      kernel,
      new KernelRefusedError(
        `device webgpu: the driver refuses the kernel ${kernel} (${label}): ${words.join("; ") || error.message} ` +
          "What was launched with it has not run. The kernel is out of the table now: the next call is served by another, or by the reference.",
      ),
    );
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
