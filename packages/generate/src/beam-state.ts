import type { BeamOptions } from "./options.ts";

/** A sequence on its way. */
export interface Beam {
  readonly tokens: readonly number[];
  /** Sum of its log-probabilities. */
  readonly score: number;
  /** Its row among the rows of its prompt, whose cache it continues. */
  readonly parent: number;
}

/** A sequence returned by `beamSearch`. */
export interface BeamSequence {
  /** The generated tokens, the end token included, without prompt and padding. */
  readonly tokens: Int32Array;
  /** Sum of log-probabilities / tokens.length^lengthPenalty. */
  readonly score: number;
  readonly finish: "eos" | "length" | "abort";
}

/** The running and finished sequences of one prompt, advanced by ranked candidates as in Hugging Face's vectorised search. */
export class BeamState {
  readonly #beams: number;
  readonly #lengthPenalty: number;
  readonly #earlyStopping: boolean | "never";
  readonly #limit: number;
  readonly #eos: readonly number[];
  #running: readonly Beam[] = [{ tokens: [], score: 0, parent: 0 }];
  #finished: BeamSequence[] = [];
  #length = 0;

  constructor(options: BeamOptions, limit: number, eos: readonly number[]) {
    this.#beams = options.beams;
    this.#lengthPenalty = options.lengthPenalty ?? 1;
    this.#earlyStopping = options.earlyStopping ?? false;
    this.#limit = limit;
    this.#eos = eos;
  }

  /** Best first. Fewer than `beams` where fewer sequences exist, as after a first step over a small vocabulary. */
  get running(): readonly Beam[] {
    return this.#running;
  }

  /** Best first. */
  get finished(): readonly BeamSequence[] {
    return this.#finished;
  }

  get done(): boolean {
    return this.#running.length === 0 || !this.#canImprove();
  }

  /**
   * Takes the ranked continuations of the running beams, best first. Those that end and rank among the first `beams` join the
   * finished; the best `beams` that do not end run on.
   */
  advance(candidates: readonly Beam[]): void {
    this.#length++;
    const running: Beam[] = [];
    candidates.forEach((candidate, rank) => {
      const eos = this.#eos.includes(candidate.tokens.at(-1)!);
      if (eos || this.#length === this.#limit) {
        if (rank < this.#beams) this.#finish(candidate, eos ? "eos" : "length");
      } else if (running.length < this.#beams) running.push(candidate);
    });
    this.#running = running;
    this.#trim();
  }

  /** Ends what still runs, as it is. */
  abort(): void {
    if (!this.done && this.#length > 0) for (const beam of this.#running) this.#finish(beam, "abort");
    this.#running = [];
    this.#trim();
  }

  #finish({ tokens, score }: Beam, finish: BeamSequence["finish"]): void {
    this.#finished.push({ tokens: Int32Array.from(tokens), score: score / tokens.length ** this.#lengthPenalty, finish });
  }

  #trim(): void {
    this.#finished.sort((a, b) => b.score - a.score).splice(this.#beams); // a stable sort: of equals the earlier stays
  }

  #canImprove(): boolean {
    if (this.#finished.length < this.#beams) return true;
    if (this.#earlyStopping === true) return false;
    const length = this.#earlyStopping === "never" && this.#lengthPenalty > 0 ? this.#limit : this.#length;
    return this.#running[0]!.score / length ** this.#lengthPenalty > this.#finished.at(-1)!.score;
  }
}
