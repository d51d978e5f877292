/** What a matcher lets through. */
export interface Matched {
  readonly text: string;
  /** The stop string that ended the text, if one did. */
  readonly stop?: string;
}

/**
 * Finds stop strings in text that arrives in pieces. It holds back the longest end of the text that could begin a stop string,
 * so text before the stop passes exactly once and nothing of the stop passes. Which stop ends the text does not depend on where
 * the pieces were cut: the first to be complete does, the longest of those that end together.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(piece: string): Matched {
    const text = this.#held + piece;
    const match = firstComplete(text, this.#stops);
    const pass = match ? match.start : text.length - longestBeginning(text, this.#stops);
    this.#held = match ? "" : text.slice(pass);
    return match ? { text: text.slice(0, pass), stop: match.stop } : { text: text.slice(0, pass) };
  }

  /** The text held back, now that no more comes. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

function firstComplete(text: string, stops: readonly string[]): { start: number; stop: string } | undefined {
  let best: { start: number; stop: string } | undefined;
  for (const stop of stops) {
    const start = text.indexOf(stop);
    if (start < 0) continue;
    const later = best ? start + stop.length - (best.start + best.stop.length) : -1;
    if (later < 0 || (later === 0 && start < best!.start)) best = { start, stop };
  }
  return best;
}

/** Length of the longest end of `text` that is a beginning of a stop string, and not the whole of it. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
