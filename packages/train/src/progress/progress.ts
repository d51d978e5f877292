import { formatDuration, formatLoss, formatSi } from "./format.ts";
import { hasColor, type OutputStream, paint, standardError } from "./terminal.ts";

export interface ProgressOptions {
  /** Steps of the whole run. */
  total: number;
  /** Steps done before (a resumed run); they do not count for the time left. Default 0. */
  start?: number;
  /** Where to write; undefined writes nothing (with --json). Default: standard error. */
  stream?: OutputStream | undefined;
  /** Seconds between two lines where the line cannot be rewritten. Default 10. */
  every?: number;
  /** A clock in seconds. Default: the system's. */
  now?: () => number;
}

export interface ProgressUpdate {
  /** Steps completed. */
  step: number;
  loss: number;
  tokensPerSecond?: number;
}

/** The status line of a run. */
export interface Progress {
  /** After a step. Cheap enough for each one: writes ten times a second at most. */
  update(update: ProgressUpdate): void;
  /** A line of its own (an evaluation, a checkpoint), above the status line. */
  log(text: string): void;
  /** Leaves the last status as a line of its own. */
  end(): void;
}

const REWRITE_SECONDS = 0.1;
/** Weight of the past in the mean time of a step, from which the time left follows. */
const PAST = 0.98;

/** A status line with step, loss, tokens per second and time left: rewritten in place on a terminal, now and then a line elsewhere. */
export function progress(options: ProgressOptions): Progress {
  const stream = "stream" in options ? options.stream : standardError();
  return stream ? new StatusLine(stream, options) : { update() {}, log() {}, end() {} };
}

class StatusLine implements Progress {
  readonly #stream: OutputStream;
  readonly #total: number;
  readonly #now: () => number;
  readonly #interval: number;
  readonly #rewrite: boolean;
  readonly #color: boolean;
  #step: number;
  #time: number;
  #secondsPerStep = Number.NaN;
  #measured = 0;
  #shownAt = Number.NEGATIVE_INFINITY;
  #latest: ProgressUpdate | undefined;
  #unshown = false;

  constructor(stream: OutputStream, { total, start = 0, every = 10, now = () => performance.now() / 1000 }: ProgressOptions) {
    this.#stream = stream;
    this.#total = total;
    this.#now = now;
    this.#rewrite = stream.isTTY === true;
    this.#color = hasColor(stream);
    this.#interval = this.#rewrite ? REWRITE_SECONDS : every;
    this.#step = start;
    this.#time = now();
  }

  update(update: ProgressUpdate): void {
    const time = this.#now();
    if (update.step > this.#step) {
      const seconds = (time - this.#time) / (update.step - this.#step);
      // The first step also compiles, so it counts only until there is another one.
      const share = this.#measured < 2 ? 1 : Math.max(1 - PAST, 1 / this.#measured);
      this.#secondsPerStep = share === 1 ? seconds : (1 - share) * this.#secondsPerStep + share * seconds;
      this.#measured++;
      this.#step = update.step;
      this.#time = time;
    }
    this.#latest = update;
    this.#unshown = true;
    if (time - this.#shownAt >= this.#interval) this.#show(time);
  }

  log(text: string): void {
    if (!this.#rewrite) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`\r\u001b[K${text}\n`);
    if (this.#latest) this.#show(this.#now());
  }

  end(): void {
    if (this.#latest && (this.#unshown || this.#rewrite)) this.#show(this.#now());
    if (this.#latest && this.#rewrite) this.#stream.write("\n");
    this.#latest = undefined;
  }

  #show(time: number): void {
    this.#shownAt = time;
    this.#unshown = false;
    const line = this.#line(this.#latest!);
    this.#stream.write(this.#rewrite ? `\r\u001b[K${line}` : `${line}\n`);
  }

  /** The parts that fit; a line that wrapped could not be rewritten. */
  #line({ step, loss, tokensPerSecond }: ProgressUpdate): string {
    const left = (this.#total - step) * this.#secondsPerStep;
    const parts: [label: string, value: string][] = [
      ["step", `${String(step).padStart(String(this.#total).length)}/${this.#total}`],
      ["loss", formatLoss(loss)],
    ];
    if (tokensPerSecond !== undefined) parts.push(["tokens/s", formatSi(tokensPerSecond)]);
    parts.push(["left", formatDuration(left)]);
    const room = this.#rewrite ? (this.#stream.columns ?? 80) - 1 : Number.POSITIVE_INFINITY;
    while (parts.length > 1 && parts.map(([label, value]) => `${label} ${value}`).join("  ").length > room) parts.pop();
    return parts
      .map(([label, value]) => `${paint(this.#color, "dim", label)} ${paint(this.#color && label === "loss", "cyan", value)}`)
      .join("  ");
  }
}
