import type { Device } from "@x/tensor";
import type { Row } from "./table.ts";
import type { Text } from "./text.ts";

export interface TaskContext {
  readonly text: Text;
  readonly device: Device;
  readonly seed: number;
  /** Scales the number of steps: 1 is what the documents show. */
  readonly effort: number;
}

/** One thing that papers claim, measured. */
export interface Task {
  readonly name: string;
  /** What is asked, in a sentence or two. */
  readonly question: string;
  /** What the rows are. */
  readonly rows: string;
  readonly variants: readonly {
    readonly name: string;
    /** Numbers of one seed, by column; less is better. */
    measure(context: TaskContext): Promise<Row["values"]>;
  }[];
}
