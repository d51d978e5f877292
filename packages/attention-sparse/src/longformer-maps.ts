import { and, blockMap, causal, type Pattern, type Patterns } from "@x/ops";
import { type Device, hostConstant, type Tensor } from "@x/tensor";
import { behindSlots, withGlobalKeys } from "./patterns.ts";
import { recent } from "./recent.ts";

/** Block maps of a layer's windows with what is global beside them. Patterns are kept, because maps are kept with them. */
export class LongformerMaps {
  readonly #local: readonly Pattern[];
  readonly #causal: boolean;
  readonly #patterns = new Map<string, Patterns>();
  readonly #positions = new WeakMap<Device, Map<string, Tensor>>();

  /** One pattern for all heads, or one for each. */
  constructor(local: readonly Pattern[], isCausal: boolean) {
    this.#local = local;
    this.#causal = isCausal;
  }

  /** Windows over a sequence, and its global tokens, whose own queries see nothing. */
  windows(length: number, tokens: readonly number[], device: Device): Tensor {
    const patterns = this.#for(`global ${tokens}`, (local) => {
      if (tokens.length === 0) return local;
      const widened = withGlobalKeys(local, tokens);
      return this.#causal ? and(causal(), widened) : widened;
    });
    return blockMap(patterns, { queries: length, keys: length, device });
  }

  /** Windows over a sequence, before which keys stand that every query sees. */
  behind(slots: number, length: number, device: Device): Tensor {
    const patterns = this.#for(`${slots} slots`, (local) => behindSlots(local, slots));
    return blockMap(patterns, { queries: length, keys: slots + length, device });
  }

  /** The positions i32 [tokens] on a device. */
  positions(tokens: readonly number[], device: Device): Tensor {
    const kept = this.#positions.get(device) ?? new Map<string, Tensor>();
    this.#positions.set(device, kept);
    return recent(kept, String(tokens), () => hostConstant(Int32Array.from(tokens), { device }));
  }

  #for(name: string, make: (local: Pattern) => Pattern): Patterns {
    const made = () => (this.#local.length === 1 ? make(this.#local[0]!) : [this.#local.map(make)]);
    return recent(this.#patterns, name, made);
  }
}
