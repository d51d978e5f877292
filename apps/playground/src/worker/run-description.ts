import { CheckpointError } from "@x/checkpoint";
import type { TokenizerJSON } from "@x/data";
import { knownParts, type ModelParts } from "../model-parts.ts";
import { type Preset, presetOf } from "../presets.ts";

/** What a checkpoint says of its run: all that is needed, with a text, to make its parts again. JSON. */
export interface RunDescription {
  readonly preset: string;
  /** Absent in files of before there was a choice. */
  readonly parts?: ModelParts;
  readonly steps: number;
  readonly seed: number;
  readonly tokenizer: TokenizerJSON;
  /** The name of the text it read. */
  readonly text: string;
  readonly device: string;
}

/** What a description says of its model. */
export interface DescribedRun {
  readonly run: RunDescription;
  readonly preset: Preset;
  readonly parts: ModelParts;
}

/** The description in a checkpoint's JSON, with its preset and parts; `name` is what messages call the checkpoint. */
export function describedRun(json: unknown, name: string): DescribedRun {
  const run = (json as { readonly trainer?: { readonly description?: Partial<RunDescription> } } | undefined)?.trainer?.description;
  if (!run?.preset || !run.tokenizer || !run.steps)
    throw new CheckpointError(`${name}: does not say which model it holds. Choose a file that this page saved.`);
  const preset = presetOf(run.preset);
  if (!preset)
    throw new CheckpointError(`${name}: holds a model "${run.preset}", which this page does not have. Was it saved by a newer one?`);
  const parts = knownParts(run.parts);
  if ("unknown" in parts)
    throw new CheckpointError(`${name}: holds a model with ${parts.unknown}, which this page does not have. Was it saved by a newer one?`);
  return { run: run as RunDescription, preset, parts };
}
