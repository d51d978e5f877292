import type { HostArray, Shape, Tolerance } from "@x/tensor";

/** A tensor of a parity file: i64 arrives as i32. */
export interface ParityTensor {
  readonly shape: Shape;
  readonly data: HostArray;
}

/** A value to be compared. */
export interface ParityOutput extends Tolerance {
  /** As in `parity.json`: "logits", "hidden_states.1", "grad.NAME"; in `layers/` with its prefix, "outputs.output". */
  readonly name: string;
  readonly expected: ParityTensor;
  /** A 0/1 mask over the leading axes: only positions with 1 are compared. */
  readonly where: ParityTensor | undefined;
}

/** One generation without sampling. */
export interface ParityGeneration {
  /** Tensors by argument name. */
  readonly inputs: ReadonlyMap<string, ParityTensor>;
  readonly sequences: readonly (readonly number[])[];
  readonly scores: readonly number[] | undefined;
  readonly scoresAtol: number;
  /** Everything else the entry says: `max_new_tokens`, `num_beams`, ... */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A parity directory: a small published model with inputs and what the reference gives for them. */
export interface ParityDirectory {
  readonly directory: string;
  readonly architecture: string;
  readonly reference: string;
  /** `config.json`, with numbers that JSON cannot hold restored. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly generationConfig: Readonly<Record<string, unknown>> | undefined;
  /** Arguments of the forward call that are no tensors. */
  readonly forward: Readonly<Record<string, unknown>>;
  /** Tensors by argument name ("input_ids"; "first.input_ids" where there are segments). */
  readonly inputs: ReadonlyMap<string, ParityTensor>;
  readonly outputs: readonly ParityOutput[];
  readonly generations: readonly ParityGeneration[];
  /** Of a directory of consecutive calls: their names in order. */
  readonly segments: readonly string[] | undefined;
  /** Of a training run: its settings. */
  readonly train: Readonly<Record<string, unknown>> | undefined;
}

/** One case of a module in `layers/`. */
export interface ParityCase {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly inputs: ReadonlyMap<string, ParityTensor>;
  /** By output name; empty where gradients are not compared. */
  readonly cotangents: ReadonlyMap<string, ParityTensor>;
  readonly expected: readonly ParityOutput[];
}
export interface ParityModule {
  readonly name: string;
  readonly reference: string;
  readonly notes: string;
  readonly cases: readonly ParityCase[];
}

/** What reads a safetensors file; that of `@x/checkpoint` (`openSafetensors`) fits. */
export interface ParityReader {
  readonly tensors: ReadonlyMap<string, { readonly shape: Shape }>;
  values(name: string): Promise<HostArray>;
  close?(): Promise<void>;
}

type Json = Readonly<Record<string, unknown>>;
/** JSON with `{"__float__": "Infinity"}` as the number it stands for. */
export function parseConfig(text: string, file: string): Json {
  const revive = (_: string, value: unknown) => {
    const float = (value as { __float__?: unknown } | null)?.__float__;
    return typeof float === "string" ? Number(float === "inf" ? "Infinity" : float === "-inf" ? "-Infinity" : float) : value;
  };
  try {
    return JSON.parse(text, revive) as Json;
  } catch (cause) {
    throw new Error(`${file}: is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** All tensors of a file, by name. */
export async function readAll(reader: ParityReader): Promise<Map<string, ParityTensor>> {
  const tensors = new Map<string, ParityTensor>();
  for (const [name, { shape }] of reader.tensors) tensors.set(name, { shape, data: await reader.values(name) });
  await reader.close?.();
  return tensors;
}

/** What `parity.json` and `parity.safetensors` say together. */
export function assemble(
  directory: string,
  spec: Json,
  tensors: ReadonlyMap<string, ParityTensor>,
): Omit<ParityDirectory, "config" | "generationConfig"> {
  const find = (name: string) => found(tensors, name, directory);
  const inputs = under(tensors, "inputs.");
  const outputs = Object.entries((spec.outputs ?? {}) as Record<string, Tolerance & { where?: string }>).map(
    ([name, { atol, rtol, where }]): ParityOutput => ({
      name,
      atol,
      rtol,
      expected: find(`outputs.${name}`),
      where: where === undefined ? undefined : find(`inputs.${where}`),
    }),
  );
  const generations = ((spec.generate ?? []) as Json[]).map((entry): ParityGeneration => {
    const { inputs: named, sequences, scores, scores_atol, ...settings } = entry;
    const given = Object.entries(named as Record<string, string>).map(([argument, name]) => [argument, find(name)] as const);
    return {
      inputs: new Map(given),
      sequences: sequences as number[][],
      scores: scores as number[] | undefined,
      scoresAtol: (scores_atol as number) ?? 0,
      settings,
    };
  });
  return {
    directory,
    architecture: spec.architecture as string,
    reference: spec.reference as string,
    forward: (spec.forward ?? {}) as Json,
    inputs,
    outputs,
    generations,
    segments: spec.segments as string[] | undefined,
    train: spec.train as Json | undefined,
  };
}

/** The cases of one module of `layers/`. */
export function assembleModule(name: string, spec: Json, tensors: ReadonlyMap<string, ParityTensor>): ParityModule {
  const cases = Object.entries(spec.cases as Record<string, { options?: Json; outputs: Record<string, Tolerance> }>).map(
    ([key, { options = {}, outputs }]): ParityCase => {
      const expected = Object.entries(outputs).map(([output, { atol, rtol }]) => ({
        name: output,
        atol,
        rtol,
        expected: found(tensors, `${key}.${output}`, name),
        where: undefined,
      }));
      return { name: key, options, inputs: under(tensors, `${key}.inputs.`), cotangents: under(tensors, `${key}.cotangents.`), expected };
    },
  );
  return { name, reference: spec.reference as string, notes: (spec.notes as string) ?? "", cases };
}

function found(tensors: ReadonlyMap<string, ParityTensor>, name: string, file: string): ParityTensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`${file}: the parity file has no tensor "${name}", which its json names.`);
  return tensor;
}

const under = (tensors: ReadonlyMap<string, ParityTensor>, prefix: string): Map<string, ParityTensor> =>
  new Map([...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]));
