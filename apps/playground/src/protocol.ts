import type { MemoryFigures } from "@x/tensor";
import type { ModelParts } from "./model-parts.ts";

/** What to train on: the sources this page is made of, or a text of the user's. */
export type TextChoice = { readonly kind: "sources" } | { readonly kind: "own"; readonly name: string; readonly text: string };

/** A device as the page offers it. */
export interface DeviceWords {
  readonly id: string;
  readonly title: string;
  /** What it is, or why it cannot be had. */
  readonly words: string;
  readonly available: boolean;
}

/** A run that has begun. */
export interface RunWords {
  readonly preset: string;
  readonly parts: ModelParts;
  readonly device: string;
  readonly text: string;
  readonly characters: number;
  readonly vocabSize: number;
  readonly numParameters: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Steps done before, and of the whole run. */
  readonly step: number;
  readonly steps: number;
  /** What is to be said of how it came to be: goes on with another text, on another device. */
  readonly notes: readonly string[];
}

/** A checkpoint that the browser keeps. */
export interface KeptWords {
  readonly step: number;
  readonly preset: string;
  readonly text: string;
}

export interface StepWords {
  readonly step: number;
  readonly loss: number;
  readonly tokensPerSecond: number;
}

/** What is looked at: one head, on the first tokens of the text on display. */
export interface AttentionWords {
  readonly step: number;
  readonly layer: number;
  readonly head: number;
  /** What each position holds, one text a token. */
  readonly tokens: readonly string[];
  /** [length, length]: row i says where position i looks; each row sums to 1. */
  readonly weights: Float32Array;
  readonly blocks: BlockWords;
}

/** In a `BlockWords`: some pairs of the two blocks are seen otherwise than others. */
export const inPart = -1;

/** Which blocks of positions see which others, in the layer that is looked at, for the whole text on display. */
export interface BlockWords {
  /** Positions of the text, and of a block; the last block may be shorter. */
  readonly length: number;
  readonly size: number;
  /** Row after row, how often the queries of a block see the keys of another: 0 not at all, m like m equal keys, or `inPart`. */
  readonly times: Int16Array;
}

/** From the page to its worker. */
export type Command =
  | {
      readonly type: "start";
      readonly preset: string;
      readonly parts: ModelParts;
      readonly device: string;
      readonly text: TextChoice;
      readonly steps: number;
      readonly seed: number;
    }
  /** Goes on from a file that `save` made. */
  | { readonly type: "open"; readonly file: Blob; readonly name: string; readonly device: string; readonly text: TextChoice }
  /** Goes on from the checkpoint that the browser keeps. */
  | { readonly type: "recover"; readonly device: string }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "save" }
  | { readonly type: "sample"; readonly prompt: string; readonly temperature: number }
  | { readonly type: "look"; readonly layer: number; readonly head: number };

/** From the worker to its page. */
export type Report =
  | {
      readonly type: "ready";
      readonly devices: readonly DeviceWords[];
      readonly kept: KeptWords | undefined;
      readonly sources: { readonly name: string; readonly characters: number; readonly files: number };
    }
  /** `paused`: it goes on from a checkpoint, and waits to be resumed. */
  | { readonly type: "begun"; readonly run: RunWords; readonly paused: boolean }
  | { readonly type: "steps"; readonly records: readonly StepWords[]; readonly memory: MemoryFigures }
  | { readonly type: "evaluated"; readonly step: number; readonly valLoss: number }
  | { readonly type: "sampled"; readonly step: number; readonly prompt: string; readonly text: string }
  | ({ readonly type: "looked" } & AttentionWords)
  | { readonly type: "paused"; readonly step: number }
  | { readonly type: "resumed" }
  | { readonly type: "finished"; readonly step: number }
  | { readonly type: "saved"; readonly name: string; readonly file: Blob }
  | {
      readonly type: "failed";
      readonly command: Command["type"] | "training";
      readonly words: string;
      /** The step of a checkpoint from which the run can go on, where its device or its run is gone. */
      readonly kept: number | undefined;
      /** The run has ended with it. */
      readonly ended: boolean;
    };
