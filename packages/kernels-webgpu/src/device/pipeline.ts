/** What a pipeline is compiled from, and who hears what the driver says of it. */
export interface Recipe {
  readonly label: string;
  readonly group: GPUBindGroupLayout;
  readonly layout: GPUPipelineLayout;
  source(): string;
  /** Called for each compilation with the promise of the driver's objection in words, undefined where it has none. */
  begun(objection: Promise<string | undefined>): void;
}

/** A pipeline that is compiled when it first runs, which waits for the driver; or ahead of that, beside everything else. */
export class Pipeline {
  readonly #device: GPUDevice;
  readonly #recipe: Recipe;
  #made: GPUComputePipeline | undefined;
  #ahead = false;

  constructor(device: GPUDevice, recipe: Recipe) {
    this.#device = device;
    this.#recipe = recipe;
  }

  get group(): GPUBindGroupLayout {
    return this.#recipe.group;
  }

  /** For a pass. One that is on its way is compiled once more rather than waited for: passes are encoded at once. */
  get now(): GPUComputePipeline {
    if (!this.#made)
      this.#compile((descriptor) => {
        this.#made = this.#device.createComputePipeline(descriptor);
      });
    return this.#made!;
  }

  /** Begins to compile it, unless that has begun. */
  ahead(): void {
    if (this.#made || this.#ahead) return;
    this.#ahead = true;
    this.#compile(async (descriptor) => {
      const pipeline = await this.#device.createComputePipelineAsync(descriptor);
      this.#made ??= pipeline;
    });
  }

  #compile(make: (descriptor: GPUComputePipelineDescriptor) => void | Promise<void>): void {
    const { label, layout } = this.#recipe;
    this.#device.pushErrorScope("validation");
    const module = this.#device.createShaderModule({ code: this.#recipe.source(), label });
    const made = make({ label, layout, compute: { module, entryPoint: "main" } });
    this.#recipe.begun(objection(module, this.#device.popErrorScope(), made));
  }
}

/** What the scope caught, or the pipeline that was made aside was rejected for, in the words of the compiler where it has some. A lost device says nothing here. */
async function objection(
  module: GPUShaderModule,
  scope: Promise<GPUError | null>,
  made: void | Promise<void>,
): Promise<string | undefined> {
  const [caught, rejected] = await Promise.all([
    scope.catch(() => null),
    Promise.resolve(made).then(
      () => null,
      (error: Error) => error,
    ),
  ]);
  const error = caught ?? rejected;
  if (!error) return undefined;
  const { messages } = await module.getCompilationInfo().catch(() => ({ messages: [] as readonly GPUCompilationMessage[] }));
  const words = messages.filter(({ type }) => type === "error").map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
  return words.join("; ") || error.message;
}
