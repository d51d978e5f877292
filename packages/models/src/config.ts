import type { Activation } from "@x/ops";
import { TensorError } from "@x/tensor";

/** A published config.json. */
export type PublishedConfig = Readonly<Record<string, unknown>>;

type Kind = "number" | "boolean" | "string" | "object" | "array";
const kindOf = (value: unknown): Kind | "other" => {
  if (Array.isArray(value)) return "array";
  const kind = typeof value;
  return kind === "number" || kind === "boolean" || kind === "string" ? kind : kind === "object" && value !== null ? "object" : "other";
};

/** Reads keys of a published configuration, with the class's defaults for those that are missing or null; what has another type is an error. */
export class ConfigReader {
  readonly #config: PublishedConfig;
  readonly #family: string;
  readonly #asked = new Set<string>();

  constructor(config: unknown, family: string) {
    if (kindOf(config) !== "object") throw new TensorError(`${family}: config.json must hold an object, got ${kindOf(config)}.`);
    this.#config = config as PublishedConfig;
    this.#family = family;
  }

  number(key: string, fallback: number): number {
    return this.#value(key, "number", fallback) as number;
  }
  /** Whether the key is there at all, be it null. */
  has(key: string): boolean {
    return this.#config[key] !== undefined;
  }
  /** A number where null means absent. */
  optional(key: string): number | undefined {
    return this.#config[key] == null ? this.#absent(key) : (this.#value(key, "number", 0) as number);
  }
  /** A size where null means absent. */
  optionalSize(key: string): number | undefined {
    return this.#config[key] == null ? this.#absent(key) : this.size(key, 1);
  }
  /** A positive whole number: a size. */
  size(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 1)
      throw new TensorError(`${this.#family}: ${key} in config.json must be a positive whole number, got ${value}.`);
    return value;
  }
  boolean(key: string, fallback: boolean): boolean {
    return this.#value(key, "boolean", fallback) as boolean;
  }
  string(key: string, fallback: string): string {
    return this.#value(key, "string", fallback) as string;
  }
  record(key: string): PublishedConfig | undefined {
    return this.#config[key] == null ? this.#absent(key) : (this.#value(key, "object", {}) as PublishedConfig);
  }
  list(key: string): readonly unknown[] | undefined {
    return this.#config[key] == null ? this.#absent(key) : (this.#value(key, "array", []) as readonly unknown[]);
  }

  /** Refuses a setting that changes what is computed and is not built. */
  refuse(key: string, unless: (value: unknown) => boolean, what: string): void {
    this.#asked.add(key);
    const value = this.#config[key];
    if (value != null && !unless(value))
      throw new TensorError(`${this.#family}: config.json has ${key}: ${JSON.stringify(value)}; ${what} is not supported.`);
  }

  activation(key: string, fallback: string): Activation {
    const name = this.string(key, fallback);
    const known = Object.hasOwn(activationNames, name) ? activationNames[name] : undefined;
    if (!known)
      throw new TensorError(`${this.#family}: ${key} in config.json is "${name}"; known are ${Object.keys(activationNames).join(", ")}.`);
    return known;
  }

  /**
   * Refuses a key that nobody read and that is almost one that was read and is missing: a slip of the pen, whose setting would silently be the default. Other
   * keys that are not read (there are dozens, of trainers and tokenizers) are let be. Call it last.
   */
  expectNoSlips(): void {
    const missing = [...this.#asked].filter((key) => this.#config[key] === undefined);
    for (const key of Object.keys(this.#config)) {
      if (this.#asked.has(key)) continue;
      const meant = missing.find((wanted) => spelling(wanted) === spelling(key) || isOneEditAway(wanted, key));
      if (meant !== undefined) throw new TensorError(`${this.#family}: config.json has ${key}, which is unknown. Is it ${meant}?`);
    }
  }

  #absent(key: string): undefined {
    this.#asked.add(key);
  }

  #value(key: string, kind: Kind, fallback: unknown): unknown {
    this.#asked.add(key);
    const value = unwrap(this.#config[key]);
    if (value == null) return fallback;
    if (kindOf(value) !== kind)
      throw new TensorError(
        `${this.#family}: ${key} in config.json must be ${kind === "object" || kind === "array" ? "an" : "a"} ${kind}, got ${JSON.stringify(value)}.`,
      );
    return value;
  }
}

/** Numbers that JSON cannot hold arrive as { "__float__": "Infinity" }. */
function unwrap(value: unknown): unknown {
  return kindOf(value) === "object" && "__float__" in (value as object) ? Number((value as { __float__: string }).__float__) : value;
}

const spelling = (key: string): string => key.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** Whether one letter added, left out or exchanged, or two neighbours swapped, make one word the other. */
function isOneEditAway(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1 || Math.min(a.length, b.length) < 5) return false;
  const start = [...a].findIndex((letter, i) => letter !== b[i]);
  const from = start === -1 ? Math.min(a.length, b.length) : start;
  const [restA, restB] = [a.slice(from), b.slice(from)];
  const swapped = `${restA[1]}${restA[0]}${restA.slice(2)}`;
  return restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1) || swapped === restB;
}

const activationNames: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  gelu_fast: "geluTanh",
  relu: "relu",
  silu: "silu",
  swish: "silu",
};
