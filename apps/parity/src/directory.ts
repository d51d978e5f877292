import { openSafetensors, readJson, type TensorReader } from "@x/checkpoint";
import { type HostArray, type Shape, TensorError } from "@x/tensor";

/** How closely an output must agree: |a - b| <= atol + rtol |b|, where the 0/1 input named by `where` is 1. */
export interface Tolerance {
  readonly atol: number;
  readonly rtol: number;
  readonly where?: string;
}

export interface GenerationSpec {
  readonly inputs: Readonly<Record<string, string>>;
  readonly max_new_tokens: number;
  readonly num_beams?: number;
  readonly length_penalty?: number;
  readonly early_stopping?: boolean | "never";
  readonly num_return_sequences?: number;
  readonly sequences: readonly (readonly number[])[];
  readonly scores?: readonly number[];
  readonly scores_atol?: number;
}

export interface TrainSpec {
  readonly steps: number;
  readonly optimizer: string;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly clip_norm: number;
}

/** A parity directory: what to feed, and what the published implementation gave. See its README for the format. */
export interface ParityDirectory {
  readonly path: string;
  readonly architecture: string;
  readonly outputs: Readonly<Record<string, Tolerance>>;
  readonly generate: readonly GenerationSpec[];
  readonly train: TrainSpec | undefined;
  readonly generationConfig: Readonly<Record<string, unknown>>;
  has(name: string): boolean;
  shape(name: string): Shape;
  values(name: string): Promise<HostArray>;
  close(): Promise<void>;
}

export async function openParity(path: string): Promise<ParityDirectory> {
  const spec = await readJson(`${path}/parity.json`);
  if (typeof spec.architecture !== "string" || typeof spec.outputs !== "object")
    throw new TensorError(`${path}/parity.json: expected "architecture" and "outputs"; is this a parity directory?`);
  const reader: TensorReader = await openSafetensors(`${path}/parity.safetensors`);
  const info = (name: string) => {
    const found = reader.tensors.get(name);
    if (!found) throw new TensorError(`${path}/parity.safetensors: has no tensor "${name}", which parity.json asks for.`);
    return found;
  };
  return {
    path,
    architecture: spec.architecture,
    outputs: spec.outputs as Readonly<Record<string, Tolerance>>,
    generate: (spec.generate ?? []) as readonly GenerationSpec[],
    train: spec.train as TrainSpec | undefined,
    generationConfig: await readJson(`${path}/generation_config.json`).catch(() => ({})),
    has: (name) => reader.tensors.has(name),
    shape: (name) => info(name).shape,
    values: async (name) => reader.values(name, info(name).dtype === "I64" ? "i32" : undefined),
    close: () => reader.close(),
  };
}
