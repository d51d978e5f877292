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

  constructor(config: unknown, family: string) {
    if (kindOf(config) !== "object") throw new TensorError(`${family}: config.json must hold an object, got ${kindOf(config)}.`);
    this.#config = config as PublishedConfig;
    this.#family = family;
  }

  number(key: string, fallback: number): number {
    return this.#read(key, "number", fallback) as number;
  }
  /** A number where null means absent. */
  optional(key: string): number | undefined {
    return this.#config[key] == null ? undefined : (this.#read(key, "number", 0) as number);
  }
  /** A positive whole number: a size. */
  size(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 1)
      throw new TensorError(`${this.#family}: ${key} in config.json must be a positive whole number, got ${value}.`);
    return value;
  }
  boolean(key: string, fallback: boolean): boolean {
    return this.#read(key, "boolean", fallback) as boolean;
  }
  string(key: string, fallback: string): string {
    return this.#read(key, "string", fallback) as string;
  }
  record(key: string): PublishedConfig | undefined {
    return this.#config[key] == null ? undefined : (this.#read(key, "object", {}) as PublishedConfig);
  }
  list(key: string): readonly unknown[] | undefined {
    return this.#config[key] == null ? undefined : (this.#read(key, "array", []) as readonly unknown[]);
  }

  /** Refuses a setting that changes what is computed and is not built. */
  refuse(key: string, unless: (value: unknown) => boolean, what: string): void {
    const value = this.#config[key];
    if (value != null && !unless(value))
      throw new TensorError(`${this.#family}: config.json has ${key}: ${JSON.stringify(value)}; ${what} is not supported.`);
  }

  activation(key: string, fallback: string): Activation {
    const name = this.string(key, fallback);
    const known = activationNames[name];
    if (!known)
      throw new TensorError(`${this.#family}: ${key} in config.json is "${name}"; known are ${Object.keys(activationNames).join(", ")}.`);
    return known;
  }

  #read(key: string, kind: Kind, fallback: unknown): unknown {
    const value = unwrap(this.#config[key]);
    if (value == null) return fallback;
    if (kindOf(value) !== kind)
      throw new TensorError(`${this.#family}: ${key} in config.json must be a ${kind}, got ${JSON.stringify(value)}.`);
    return value;
  }
}

/** Numbers that JSON cannot hold arrive as { "__float__": "Infinity" }. */
function unwrap(value: unknown): unknown {
  return kindOf(value) === "object" && "__float__" in (value as object) ? Number((value as { __float__: string }).__float__) : value;
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
