import { eventFilePath, openAppend } from "#append-file";
import { type Event, encodeEvent, frame } from "./event.ts";
import type { MetricsSink } from "./metrics.ts";

export interface TensorBoardOptions {
  /** The run is resumed after this many steps: TensorBoard drops what earlier files of the directory say of later ones. */
  resumeStep?: number;
  /** The time in seconds since 1970. Default: the clock. */
  now?: () => number;
}

/** The numbers of each record as scalars in a new event file in `directory`, which `tensorboard --logdir` reads. Node only. */
export function tensorBoardMetrics(directory: string, { resumeStep, now = () => Date.now() / 1000 }: TensorBoardOptions = {}): MetricsSink {
  const file = openAppend(eventFilePath(directory, now()), (content) => content.length);
  const put = (event: Omit<Event, "wallTime">) => file.append(frame(encodeEvent({ wallTime: now(), ...event })));
  put({ fileVersion: "brain.Event:2" });
  if (resumeStep !== undefined) put({ step: resumeStep + 1, sessionStart: true });
  return {
    write({ step, ...values }) {
      const scalars = Object.entries(values).filter((entry): entry is [string, number] => typeof entry[1] === "number");
      if (scalars.length > 0) put({ step, scalars });
    },
    close: () => file.close(),
  };
}
