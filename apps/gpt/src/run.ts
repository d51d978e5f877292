import { mkdir, stat } from "node:fs/promises";
import { type Device, TensorError } from "@x/tensor";
import { jsonlMetrics, lossCurve, metrics, type Progress, type TrainResult, tensorBoardMetrics } from "@x/train";
import { interruptible } from "./interruption.ts";
import { type SessionOptions, session } from "./session.ts";

export interface RunOptions extends Omit<SessionOptions, "directory" | "metrics" | "signal"> {
  readonly device: Device;
  readonly directory: string;
  /** Go on from the newest checkpoint in the directory. */
  readonly resume: boolean;
  readonly progress?: Progress | undefined;
}

export interface RunResult extends TrainResult {
  readonly model: ReturnType<typeof session>["model"];
  /** What the process should end with. */
  readonly status: number;
}

/** Trains in a directory: checkpoints, metrics.jsonl, TensorBoard's events; stops and saves when asked to. */
export async function trainIn(options: RunOptions): Promise<RunResult> {
  const { directory, resume } = options;
  await makeDirectory(directory);
  using interruption = interruptible(() => options.progress?.log("Stopping after this step, and saving (Ctrl-C again ends without)."));
  const sinks: { current?: ReturnType<typeof metrics> } = {};
  const run = session({
    ...options,
    signal: interruption.signal,
    metrics: { write: (record) => sinks.current?.write(record), close() {} },
  });
  const resumed = resume && (await run.trainer.resume());
  if (resume && !resumed) options.progress?.log(`${directory} has no checkpoint yet: starting from the beginning.`);
  // Only now is it known from which step on the metrics go.
  const from = resumed ? { resumeStep: run.trainer.step } : {};
  sinks.current = metrics([
    jsonlMetrics(`${directory}/metrics.jsonl`, resumed ? from : { overwrite: true }),
    tensorBoardMetrics(`${directory}/tensorboard`, from),
  ]);
  try {
    const result = await run.trainer.train();
    return { ...result, model: run.model, status: result.interrupted ? interruption.status : 0 };
  } finally {
    sinks.current.close();
    run.release();
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
    if (!(await stat(directory)).isDirectory()) throw new Error("it is no directory");
  } catch (cause) {
    throw new TensorError(`--out ${directory}: cannot be made: ${(cause as Error).message}. Choose another place.`, { cause });
  }
}

/** What a run came to, for a person. */
export function report(
  { losses, evaluation, interrupted, step, checkpoint }: TrainResult,
  directory: string,
  say: (line: string) => void,
): void {
  if (losses.length > 1) say(lossCurve(losses));
  if (evaluation) say(`Validation loss ${evaluation.valLoss.toFixed(4)} at step ${evaluation.step}.`);
  if (interrupted)
    say(`Interrupted at step ${step}. Saved to ${checkpoint}.\nResume with: npm run gpt -- train --resume --out ${directory}`);
  else if (checkpoint) say(`Saved to ${checkpoint}. Sample with: npm run gpt -- generate --from ${directory} --prompt "..." --tokens 200`);
}
