import { CheckpointError, show } from "../errors.ts";

/** What the placeholders of a pattern stood for in a name. */
export type Bindings = ReadonlyMap<string, string>;

/**
 * A name with placeholders: `{i}`, `{j}`, `{k}` stand for a whole number, `{p}`, `{q}`, `{r}` for one segment between dots. Alternatives
 * (`{query,key,value}`) were taken apart before, by `alternatives`.
 */
export interface Pattern {
  readonly text: string;
  readonly placeholders: readonly string[];
  match(name: string): Bindings | undefined;
  fill(bindings: Bindings): string;
}

const placeholder = /\{([^{}]*)\}/g;
const kinds: Readonly<Record<string, string>> = {
  i: "0|[1-9][0-9]*",
  j: "0|[1-9][0-9]*",
  k: "0|[1-9][0-9]*",
  p: "[^.]+",
  q: "[^.]+",
  r: "[^.]+",
};

export function pattern(text: string): Pattern {
  const placeholders = [...text.matchAll(placeholder)].map((match) => match[1]!);
  for (const name of placeholders)
    if (!Object.hasOwn(kinds, name))
      throw new CheckpointError(
        `Pattern ${show(text)}: placeholders are {i} {j} {k} (numbers) and {p} {q} {r} (segments); received {${name}}.`,
      );
  if (new Set(placeholders).size < placeholders.length) throw new CheckpointError(`Pattern ${show(text)}: has a placeholder twice.`);
  const source = text.split(placeholder).map((part, i) => (i % 2 ? `(${kinds[part]})` : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
  const expression = new RegExp(`^${source.join("")}$`);
  return {
    text,
    placeholders,
    match(name) {
      const found = expression.exec(name);
      return found ? new Map(placeholders.map((key, i) => [key, found[i + 1]!])) : undefined;
    },
    fill: (bindings) => text.replace(placeholder, (_, key: string) => bindings.get(key)!),
  };
}

/** The patterns that a text with one list of alternatives, `a.{x,y}.b`, stands for: `a.x.b` and `a.y.b`. */
export function alternatives(text: string): Pattern[] {
  const lists = [...text.matchAll(/\{([^{}]*,[^{}]*)\}/g)];
  if (lists.length > 1) throw new CheckpointError(`Pattern ${show(text)}: has more than one list of alternatives.`);
  const list = lists[0];
  if (list === undefined) return [pattern(text)];
  return list[1]!.split(",").map((word) => pattern(text.replace(list[0], word.trim())));
}
