import type { CausalLM, ModelState } from "@x/nn";
import { checkTokens } from "@x/ops";
import { compile, type Device, defaultDevice, type Hosted, type Step, scope, type Tensor, tensor, withDevice } from "@x/tensor";
import type { DecodePlan, Decoder } from "./decoder.ts";
import { GenerateError, refuse } from "./errors.ts";

export interface CausalDecoderOptions {
  /** Where the model's parameters are; the default device if absent. */
  readonly device?: Device;
  /** Run single steps as they stand instead of compiled: for debugging, and for the test that both agree. */
  readonly eager?: boolean;
  /** Makes what the model carries, for instance with another cache; the model's own `initState` if absent. */
  readonly initState?: CausalLM["initState"];
}

/** A causal language model with a cache as a decoder. */
export function causalDecoder(
  model: CausalLM,
  { device = defaultDevice("causalDecoder"), eager = false, initState = (options) => model.initState(options) }: CausalDecoderOptions = {},
): Decoder {
  return new CausalDecoder(model, { device, eager, initState });
}

type Tokens = { readonly tokens: Tensor };
type Statics = { readonly tables: number };
type TokenStep = Step<Hosted<Tokens>, Statics, Tensor>;

/** A state, and the step that was compiled for its cells. */
interface Run {
  readonly state: ModelState;
  readonly step: TokenStep;
}

class CausalDecoder implements Decoder {
  readonly vocabSize: number;
  readonly maxLength?: number;
  readonly #model: CausalLM;
  readonly #device: Device;
  readonly #eager: boolean;
  readonly #initState: CausalLM["initState"];
  #run: Run | undefined;

  constructor(model: CausalLM, { device, eager, initState }: Required<CausalDecoderOptions>) {
    this.#model = model;
    this.#device = device;
    this.#eager = eager;
    this.#initState = initState;
    this.vocabSize = model.vocabSize;
    if (model.maxLength !== undefined) this.maxLength = model.maxLength;
  }

  async prefill(prompts: readonly Int32Array[], { newTokens }: DecodePlan): Promise<Float32Array> {
    this.close();
    const [batch, longest] = [prompts.length, Math.max(...prompts.map(({ length }) => length))];
    if (!Number.isFinite(longest) || prompts.some(({ length }) => length === 0))
      refuse("causalDecoder", "prompts", "at least one, each of at least one token", prompts);
    const rectangle = new Int32Array(batch * longest);
    for (const [row, prompt] of prompts.entries()) {
      checkTokens(prompt, this.vocabSize, `prompts[${row}]`);
      rectangle.set(prompt, (row + 1) * longest - prompt.length);
    }
    const logits = withDevice(this.#device, () => {
      const capacity = longest + newTokens;
      const state = this.#initState({ batch, capacity });
      this.#begin(state);
      state.reset(prompts.map(({ length }) => longest - length));
      // Tables that grow with the length get all their room now, so that compiled steps keep theirs; the model sets them to its own length.
      this.#model.prepare?.(capacity);
      return scope(() => this.#logits(tensor(rectangle, { shape: [batch, longest] }), state));
    });
    return this.#read(logits);
  }

  async step(tokens: Int32Array): Promise<Float32Array> {
    const { state, step } = this.#running("step");
    if (tokens.length !== state.batch) refuse("causalDecoder.step", "tokens", `one a row, for ${state.batch} rows`, tokens);
    if (state.length === state.capacity)
      throw new GenerateError(`causalDecoder.step: all ${state.capacity} positions are filled. Plan for more newTokens in prefill.`);
    checkTokens(tokens, this.vocabSize, "causalDecoder.step");
    const logits = withDevice(this.#device, () => {
      const tables = this.#model.prepare?.(state.length + 1) ?? 0;
      return scope(() => step({ tokens: { data: tokens, shape: [state.batch, 1] } }, { tables }));
    });
    // A model that runs as it stands has counted by itself.
    if (!this.#eager) state.counted(1);
    return this.#read(logits);
  }

  gather(rows: Int32Array): void {
    const { state } = this.#running("gather");
    withDevice(this.#device, () => {
      if (rows.length === state.batch) scope(() => state.gather(rows));
      else {
        const selected = state.select([...rows]);
        this.close();
        this.#begin(selected);
      }
    });
  }

  close(): void {
    this.#run?.step.release();
    this.#run?.state.dispose();
    this.#run = undefined;
  }

  #begin(state: ModelState): void {
    const step = compile<Tokens, Tensor, Statics>(({ tokens }) => this.#logits(tokens, state), {
      name: "decode",
      device: this.#device,
      eager: this.#eager,
    });
    this.#run = { state, step };
  }

  /** [batch, vocabSize] after the last of the tokens. */
  #logits(tokens: Tensor, state: ModelState): Tensor {
    return this.#model.forward(tokens, { state, lastOnly: true }).reshape([state.batch, this.vocabSize]).cast("f32");
  }

  #running(what: string): Run {
    if (!this.#run) throw new GenerateError(`causalDecoder.${what}: no run has begun. Call prefill first.`);
    return this.#run;
  }

  async #read(logits: Tensor): Promise<Float32Array> {
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    return values;
  }
}
