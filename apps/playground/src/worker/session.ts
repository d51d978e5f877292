import { type Device, noGrad, scope, setDefaultDevice, tensor, withDevice } from "@x/tensor";
import type { StepRecord } from "@x/train";
import type { Report, RunWords, StepWords } from "../protocol.ts";
import { blockWords } from "./block-words.ts";
import { Gate } from "./gate.ts";
import { type PartsOptions, parts } from "./parts.ts";
import { packRun } from "./run-file.ts";
import { sample } from "./sample.ts";
import { Timetable } from "./timetable.ts";

export interface SessionOptions extends Omit<PartsOptions, "before" | "onStep" | "onEvaluation" | "signal"> {
  readonly report: (report: Report) => void;
  /** Whether checkpoints outlive the page. */
  readonly lasting: boolean;
}

/** Positions of the text whose attention is shown. */
const lookedAt = 32;
const sampledTokens = 200;

/** One run on one device, from its first step to its last: trains, and between steps shows what it has come to. */
export class Session {
  readonly gate = new Gate();
  readonly directory: string;
  readonly #options: SessionOptions;
  readonly #parts: ReturnType<typeof parts>;
  readonly #stop = new AbortController();
  #training: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #records: StepWords[] = [];
  #prompt = { prompt: "", temperature: 0.8 };
  /** The text on display, whose attention is shown. */
  #shown = "";
  #head = { layer: 0, head: 0 };
  readonly #due = new Timetable();

  constructor(options: SessionOptions) {
    this.#options = options;
    this.directory = options.directory;
    this.#prompt.prompt = options.text.opening ?? firstWord(options.text.text);
    this.#parts = parts({
      ...options,
      before: () => this.#between(),
      onStep: (record) => this.#record(record),
      onEvaluation: (record) => options.report({ type: "evaluated", ...record }),
      signal: this.#stop.signal,
    });
  }

  /** Goes on from the checkpoint in its directory. */
  async restore(): Promise<void> {
    await this.#parts.trainer.resume();
  }

  get words(): RunWords {
    const { preset, parts, steps, text, device } = this.#options;
    const { model, tokenizer, trainer } = this.#parts;
    return {
      ...{ preset: preset.id, parts, device: device.name, text: text.name, characters: text.text.length },
      ...{ vocabSize: tokenizer.vocabSize, numParameters: model.numParameters },
      ...{ numLayers: preset.numLayers, numHeads: preset.numHeads },
      ...{ step: trainer.step, steps, notes: this.#notes },
    };
  }

  get #notes(): string[] {
    const { earlier, device, lasting } = this.#options;
    return [
      ...(this.#parts.reading.anew
        ? ["The run read another text before: it goes on from its weights, and reads this one from the start."]
        : []),
      ...(earlier && earlier.device !== device.name
        ? [`It was on ${earlier.device} before: on ${device.name} it goes on, but not to the same bits.`]
        : []),
      ...(lasting
        ? []
        : [
            "Its checkpoints last only as long as this page: the browser keeps nothing for it, or another tab is open. Save what you need.",
          ]),
    ];
  }

  /** Trains until all steps are done or `close` is called; rejects with what ended it before. */
  train(): Promise<void> {
    setDefaultDevice(this.#options.device);
    this.#training = this.#train();
    return this.#training;
  }

  async #train(): Promise<void> {
    const { trainer } = this.#parts;
    try {
      await trainer.train();
    } finally {
      this.#flush();
      await this.gate.open();
    }
    if (this.#stop.signal.aborted) return;
    this.#options.report({ type: "finished", step: trainer.step });
    await this.gate.run(() => this.#show());
  }

  /** Stops between two steps and keeps a checkpoint. */
  async pause(): Promise<void> {
    this.gate.pause();
    await this.gate.run(async () => {
      this.#flush();
      await this.#parts.trainer.save();
    });
    if (this.gate.paused) this.#options.report({ type: "paused", step: this.#parts.trainer.step });
  }

  resume(): void {
    this.gate.resume();
    this.#options.report({ type: "resumed" });
  }

  /** The loss on validation text, and a sample, now. */
  measure(): Promise<void> {
    return this.gate.run(async () => {
      const valLoss = await this.#parts.evaluate(this.#stop.signal);
      const { step } = this.#parts.trainer;
      if (valLoss !== undefined) this.#options.report({ type: "evaluated", step, valLoss });
      // A run that has ended shows what it writes by itself.
      if (step < this.#options.steps) await this.#show();
    });
  }

  /** The run as a file, at the step where it is. */
  save(): Promise<{ readonly blob: Blob; readonly step: number }> {
    return this.gate.run(async () => {
      await this.#parts.trainer.save();
      return packRun(this.directory, this.#options.files);
    });
  }

  /** Writes a sample with another prompt, and from now on with that. */
  sample(prompt: string, temperature: number): Promise<void> {
    return this.gate.run(async () => {
      const before = this.#prompt;
      this.#prompt = { prompt, temperature };
      await this.#show().catch((error: unknown) => {
        this.#prompt = before;
        throw error;
      });
    });
  }

  /** Shows another head, and from now on that. */
  look(layer: number, head: number): Promise<void> {
    this.#head = { layer, head };
    return this.gate.run(() => this.#look());
  }

  /** Ends the run and gives everything back, once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    this.gate.resume();
    await this.#training?.catch(() => undefined);
    await this.gate.open();
    this.#parts.release();
    this.#options.device.close();
  }

  async #between(): Promise<void> {
    await this.gate.pass();
    if (this.#stop.signal.aborted) return;
    await this.#due.every("sample", 2, () => this.#show());
    await this.#due.every("checkpoint", 15, async () => void (this.#parts.trainer.step > 0 && (await this.#parts.trainer.save())));
  }

  #record({ step, loss, tokensPerSecond }: StepRecord): void {
    this.#records.push({ step, loss, tokensPerSecond });
    void this.#due.every("report", 0.1, async () => this.#flush());
  }

  #flush(): void {
    if (this.#records.length === 0) return;
    this.#options.report({ type: "steps", records: this.#records, memory: this.#options.device.memory() });
    this.#records = [];
  }

  async #show(): Promise<void> {
    const { model, tokenizer, trainer } = this.#parts;
    const { device, seed, report } = this.#options;
    const { prompt, temperature } = this.#prompt;
    const options = { tokenizer, device, prompt, temperature, tokens: sampledTokens, seed, signal: this.#stop.signal };
    const text = await sample(model, options);
    if (this.#stop.signal.aborted) return;
    this.#shown = prompt + text;
    report({ type: "sampled", step: trainer.step, prompt, text });
    await this.#look();
  }

  async #look(): Promise<void> {
    const { model, tokenizer, weightsAt, patternAt, blockSize, trainer } = this.#parts;
    const { layer, head } = this.#head;
    const text = tokenizer.encode(this.#shown).slice(0, model.maxLength);
    const ids = text.slice(0, lookedAt);
    if (ids.length === 0) return;
    const map = onDevice(this.#options.device, () =>
      weightsAt(tensor(ids, { shape: [1, ids.length] }), layer)
        .slice(1, head, head + 1)
        .copy(),
    );
    const weights = (await map.data()) as Float32Array;
    map.dispose();
    const tokens = [...ids].map((id) => tokenizer.decode([id]));
    const blocks = blockWords(patternAt(layer), text.length, blockSize);
    this.#options.report({ type: "looked", step: trainer.step, layer, head, tokens, weights, blocks });
  }
}

const onDevice = <R>(device: Device, fn: () => R): R => withDevice(device, () => noGrad(() => scope(fn)));

/** The first word of a text, with the blank after it. */
const firstWord = (text: string): string => /\S{1,20}\s?/.exec(text)?.[0] ?? text.slice(0, 1);
