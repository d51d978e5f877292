import type { DecodePlan, Decoder } from "../src/index.ts";

/** A decoder whose logits are table[last token, token before], 0 before the first: what it will say can be enumerated. */
export class TableDecoder implements Decoder {
  readonly vocabSize: number;
  readonly maxLength?: number;
  readonly fed: number[][] = [];
  plan: DecodePlan | undefined;
  #rows: number[][] = [];
  readonly #logits: (history: readonly number[]) => ArrayLike<number>;

  constructor(vocabSize: number, logits: (history: readonly number[]) => ArrayLike<number>, maxLength?: number) {
    this.vocabSize = vocabSize;
    this.#logits = logits;
    if (maxLength !== undefined) this.maxLength = maxLength;
  }

  static ofTable(vocabSize: number, table: ArrayLike<number>): TableDecoder {
    return new TableDecoder(vocabSize, (history) => {
      const start = (history.at(-1)! * vocabSize + (history.at(-2) ?? 0)) * vocabSize;
      return Array.from(table).slice(start, start + vocabSize);
    });
  }

  async prefill(prompts: readonly Int32Array[], plan: DecodePlan): Promise<Float32Array> {
    this.plan = plan;
    this.#rows = prompts.map((prompt) => [...prompt]);
    return this.#output();
  }

  async step(tokens: Int32Array): Promise<Float32Array> {
    if (tokens.length !== this.#rows.length) throw new Error(`step got ${tokens.length} tokens for ${this.#rows.length} rows`);
    this.fed.push([...tokens]);
    this.#rows.forEach((row, index) => {
      row.push(tokens[index]!);
    });
    return this.#output();
  }

  gather(rows: Int32Array): void {
    if (rows.length > this.plan!.rows) throw new Error("gather beyond the plan");
    this.#rows = Array.from(rows, (row) => [...this.#rows[row]!]);
  }

  close(): void {}

  #output(): Float32Array {
    return Float32Array.from(this.#rows.flatMap((row) => Array.from(this.#logits(row))));
  }
}

/** Logits that depend on the whole history. */
export function hashLogits(vocabSize: number): (history: readonly number[]) => number[] {
  return (history) => {
    let state = 17;
    for (const token of history) state = (Math.imul(state ^ token, 0x9e3779b1) ^ (state >>> 15)) >>> 0;
    return Array.from({ length: vocabSize }, (_, token) => {
      const mixed = Math.imul(state ^ Math.imul(token + 1, 0x85ebca6b), 0xc2b2ae35);
      return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 30;
    });
  };
}
