import { CheckpointError } from "@x/checkpoint";
import type { TokenizerJSON } from "@x/data";
import { type Preset, presetOf } from "../presets.ts";

/** What a checkpoint says of its run: all that is needed, with a text, to make its parts again. JSON. */
export interface RunDescription {
  readonly preset: string;
  readonly steps: number;
  readonly seed: number;
  readonly tokenizer: TokenizerJSON;
  /** The name of the text it read. */
  readonly text: string;
  readonly device: string;
}

/** The description in a checkpoint's JSON, and its preset; `name` is what messages call the checkpoint. */
export function describedRun(json: unknown, name: string): { readonly run: RunDescription; readonly preset: Preset } {
  const run = (json as { readonly trainer?: { readonly description?: Partial<RunDescription> } } | undefined)?.trainer?.description;
  if (!run?.preset || !run.tokenizer || !run.steps)
    throw new CheckpointError(`${name}: does not say which model it holds. Choose a file that this page saved.`);
  const preset = presetOf(run.preset);
  if (!preset)
    throw new CheckpointError(`${name}: holds a model "${run.preset}", which this page does not have. Was it saved by a newer one?`);
  return { run: run as RunDescription, preset };
}
