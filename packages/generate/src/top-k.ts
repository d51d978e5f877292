/** The k best scores of those offered, in a heap whose root is the worst kept. Equal scores rank by index, the lower first. */
export class TopK {
  readonly #capacity: number;
  readonly #scores: Float64Array;
  readonly #indices: Float64Array;
  #size = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#scores = new Float64Array(capacity);
    this.#indices = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** The worst score kept, or -Infinity while there is room. */
  get floor(): number {
    return this.#size < this.#capacity ? -Infinity : this.#scores[0]!;
  }

  offer(score: number, index: number): void {
    if (this.#size < this.#capacity) {
      this.#place(this.#size++, score, index);
      this.#rise(this.#size - 1);
    } else if (this.#worse(0, score, index)) {
      this.#place(0, score, index);
      this.#sink();
    }
  }

  /** What was kept, best first. */
  sorted(): { score: number; index: number }[] {
    const kept = Array.from({ length: this.#size }, (_, slot) => ({ score: this.#scores[slot]!, index: this.#indices[slot]! }));
    return kept.sort((a, b) => b.score - a.score || a.index - b.index);
  }

  #worse(slot: number, score: number, index: number): boolean {
    const own = this.#scores[slot]!;
    return own < score || (own === score && this.#indices[slot]! > index);
  }

  #place(slot: number, score: number, index: number): void {
    this.#scores[slot] = score;
    this.#indices[slot] = index;
  }

  #swap(a: number, b: number): void {
    const score = this.#scores[a]!;
    const index = this.#indices[a]!;
    this.#place(a, this.#scores[b]!, this.#indices[b]!);
    this.#place(b, score, index);
  }

  #rise(slot: number): void {
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (this.#worse(parent, this.#scores[slot]!, this.#indices[slot]!)) return;
      this.#swap(slot, parent);
      slot = parent;
    }
  }

  #sink(): void {
    for (let slot = 0; ; ) {
      let worst = slot;
      for (const child of [2 * slot + 1, 2 * slot + 2])
        if (child < this.#size && this.#worse(child, this.#scores[worst]!, this.#indices[worst]!)) worst = child;
      if (worst === slot) return;
      this.#swap(slot, worst);
      slot = worst;
    }
  }
}
