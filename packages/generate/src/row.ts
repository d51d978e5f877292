import type { FinishReason, GenerateOptions } from "./options.ts";
import type { RowContext } from "./processors.ts";
import { type Settings, stopList } from "./settings.ts";
import { StopMatcher } from "./stop-strings.ts";
import { TextStream } from "./text-stream.ts";

/** One prompt on its way: its tokens, its text, and whether and why it has ended. */
export class Row implements RowContext {
  readonly promptLength: number;
  readonly limit: number;
  readonly #tokens: Int32Array;
  readonly #eos: readonly number[];
  readonly #text: TextStream | undefined;
  readonly #stops: StopMatcher;
  #length: number;
  #finish: FinishReason | undefined;
  #stop: string | undefined;

  constructor(settings: Settings, index: number, options: GenerateOptions) {
    const prompt = settings.prompts[index]!;
    this.promptLength = this.#length = prompt.length;
    this.limit = settings.limits[index]!;
    this.#tokens = new Int32Array(prompt.length + this.limit);
    this.#tokens.set(prompt);
    this.#eos = settings.eos;
    this.#text = options.decode && new TextStream(options.decode, prompt);
    this.#stops = new StopMatcher(stopList(options));
  }

  get history(): Int32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  /** The generated tokens. */
  get generated(): Int32Array {
    return this.#tokens.slice(this.promptLength, this.#length);
  }

  get finish(): FinishReason | undefined {
    return this.#finish;
  }

  /** The stop string that ended the row. */
  get stop(): string | undefined {
    return this.#stop;
  }

  /** Appends a token and returns the text it completes; ends the row where the token does. */
  accept(token: number): string {
    this.#tokens[this.#length++] = token;
    if (this.#eos.includes(token)) return this.end("eos");
    const passed = this.#pass(this.#text?.push(token) ?? "");
    const full = this.#length === this.promptLength + this.limit;
    return full && !this.#finish ? passed + this.end("length") : passed;
  }

  /** Ends the row and returns the text that was held back. A stop string completed by that text is the reason then. */
  end(reason: FinishReason): string {
    const passed = this.#pass(this.#text?.flush() ?? "");
    if (this.#finish) return passed;
    this.#finish = reason;
    return passed + this.#stops.flush();
  }

  #pass(piece: string): string {
    const { text, stop } = this.#stops.push(piece);
    if (stop !== undefined) {
      this.#finish = "stop";
      this.#stop = stop;
    }
    return text;
  }
}
