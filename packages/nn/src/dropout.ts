import { dropout } from "@x/ops";
import { type Tensor, TensorError } from "@x/tensor";
import { Module } from "./module.ts";
import { isTraining } from "./training.ts";

/** Zeroes elements with probability p while training; passes everything otherwise. */
export class Dropout extends Module {
  readonly p: number;

  constructor({ p }: { p: number }) {
    super();
    if (!(p >= 0 && p <= 1)) throw new TensorError(`Dropout: p must be a probability from 0 to 1, got ${p}.`);
    this.p = p;
  }

  /** Whether anything is zeroed now. */
  get isActive(): boolean {
    return this.p > 0 && isTraining();
  }

  forward(x: Tensor): Tensor {
    return this.isActive ? dropout(x, this.p) : x;
  }
}
