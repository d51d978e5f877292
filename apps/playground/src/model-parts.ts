import type { Mixer, NormKind, Position, ResidualKind } from "@x/models/decoder";
import type { Preset } from "./presets.ts";

/** What a model has in the place of GPT-2's parts; empty: it is GPT-2's. JSON. */
export interface ModelParts {
  readonly mixer?: Mixer;
  readonly position?: Position;
  readonly norm?: NormKind;
  readonly residual?: ResidualKind;
  /** Heads of keys and values; as many as of queries if absent. */
  readonly numKvHeads?: number;
}

/** A part that is chosen by name. */
export type NamedPart = "mixer" | "position" | "norm" | "residual";

/** A choice: its name on the page, and what it does in a few words. */
interface PartWords {
  readonly title: string;
  readonly words: string;
}

/** What there is to choose from, GPT-2's own first: words alone, so that the page can show them without loading what computes. */
export const partChoices: { readonly [P in NamedPart]: Readonly<Record<Required<ModelParts>[P], PartWords>> } = {
  mixer: {
    dense: { title: "Dense", words: "Each position looks at all before it." },
    longformer: { title: "Longformer", words: "Each position looks at the last quarter of the window." },
    bigbird: { title: "BigBird", words: "Blocks look at the first one, the one before, their own and a random one." },
    performer: { title: "Performer", words: "Softmax estimated by random features: linear in length." },
    xl: { title: "Transformer-XL", words: "Half a window at a time, over what the half before left." },
  },
  position: {
    learned: { title: "Learned", words: "A vector for each position is added to its token." },
    sinusoidal: { title: "Sinusoidal", words: "Sines of each position are added to its token." },
    rope: { title: "Rotary (RoPE)", words: "Queries and keys are turned by their positions." },
    alibi: { title: "ALiBi", words: "Scores fall with the distance, in each head at a pace of its own." },
    t5: { title: "T5 bias", words: "Scores get a learned number for their distance." },
    xl: { title: "Relative (XL)", words: "Scores get a product of query and distance." },
    none: { title: "None", words: "Only who may look at whom tells where a token stands." },
  },
  norm: {
    layer: { title: "LayerNorm", words: "" },
    rms: { title: "RMSNorm", words: "" },
  },
  residual: {
    pre: { title: "Pre-norm", words: "" },
    post: { title: "Post-norm", words: "" },
    sandwich: { title: "Sandwich", words: "" },
    deep: { title: "DeepNorm", words: "" },
  },
};

export const namedParts = Object.keys(partChoices) as NamedPart[];
export const choicesOf = (part: NamedPart): [string, PartWords][] => Object.entries(partChoices[part]);

/** The parts of these choices, without those that are GPT-2's anyway. */
export function partsOf(chosen: Readonly<Record<NamedPart, string>>, numKvHeads: number | undefined, { numHeads }: Preset): ModelParts {
  const other = namedParts.filter((part) => chosen[part] !== choicesOf(part)[0]![0]);
  return {
    ...Object.fromEntries(other.map((part) => [part, chosen[part]])),
    ...(numKvHeads !== undefined && numKvHeads !== numHeads && { numKvHeads }),
  };
}

/** Why these parts cannot make a model of the preset, or undefined. */
export function misfit({ numKvHeads }: ModelParts, { title, numHeads }: Preset): string | undefined {
  if (numKvHeads === undefined || (numKvHeads >= 1 && numHeads % numKvHeads === 0)) return undefined;
  const divisors = Array.from({ length: numHeads }, (_, i) => i + 1).filter((count) => numHeads % count === 0);
  const choices = `${divisors.slice(0, -1).join(", ")} or ${divisors.at(-1)}`;
  return `The ${numHeads} heads of ${title} cannot share ${numKvHeads} of keys and values. Choose ${choices}.`;
}

/** The parts in words; empty where all are GPT-2's. */
export function partsWords(parts: ModelParts): string {
  const titles = namedParts.flatMap((part) => {
    const value = parts[part];
    return value === undefined ? [] : [(partChoices[part] as Readonly<Record<string, PartWords>>)[value]!.title];
  });
  return [
    ...titles,
    ...(parts.numKvHeads === undefined ? [] : [`${parts.numKvHeads} ${parts.numKvHeads === 1 ? "head" : "heads"} of keys`]),
  ].join(", ");
}

/** The parts in a description that was read from a file, or the words that name what this page does not have. */
export function knownParts(json: unknown): ModelParts | { readonly unknown: string } {
  if (json === undefined) return {};
  if (typeof json !== "object" || json === null) return { unknown: `parts ${JSON.stringify(json)}` };
  for (const [part, value] of Object.entries(json)) {
    const known =
      part === "numKvHeads"
        ? Number.isInteger(value)
        : namedParts.some((each) => each === part && Object.hasOwn(partChoices[each], String(value)));
    if (!known) return { unknown: `${part} ${JSON.stringify(value)}` };
  }
  return json;
}
