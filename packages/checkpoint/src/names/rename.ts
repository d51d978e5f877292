import { CheckpointError, show } from "../errors.ts";
import { alternatives, type Bindings, type Pattern } from "./pattern.ts";
import type { Verb } from "./verbs.ts";

/** Published name or pattern, and ours: a name, or what a verb makes of it. */
export type Rule = readonly [published: string, ours: string | Verb];

/** Tensors that belong together: one published to one or several of ours, or several published to one of ours. */
export interface Move {
  readonly published: readonly string[];
  readonly ours: readonly string[];
  /** Axis of the published side along which the several lie. */
  readonly axis: number;
  /** Relative sizes of the several. */
  readonly parts: readonly number[];
  readonly transposed: boolean;
}

export interface Translation {
  readonly moves: readonly Move[];
  readonly dropped: readonly { readonly name: string; readonly reason: string }[];
  /** Names that no rule matches. */
  readonly unmatched: readonly string[];
}

/** A table between published names and ours, that can be read in both directions. */
export interface NameTable {
  /** For names of a published checkpoint. A move may ask for names that are not among them. */
  toOurs(published: Iterable<string>): Translation;
  /** For names of ours; nothing is dropped. */
  toPublished(ours: Iterable<string>): Translation;
}

export interface RenameOptions {
  /** Base prefix ("transformer.") that a checkpoint of the model without its head leaves out. Patterns are written with it. */
  readonly base?: string;
}

interface Compiled {
  readonly published: readonly Pattern[];
  readonly ours: readonly Pattern[];
  readonly verb: Verb;
}

/** A table of rules; the first that matches a name serves it, in either direction. */
export function rename(rules: readonly Rule[], { base = "" }: RenameOptions = {}): NameTable {
  const compiled = rules.map(compile);
  const find = (name: string) => findRule(compiled, "published", name);
  /** The name as the patterns know it: as it is, or with the base prefix added, or without. */
  const canonical = (name: string): string => {
    const candidates = base === "" ? [name] : [name, base + name, ...(name.startsWith(base) ? [name.slice(base.length)] : [])];
    return candidates.find((candidate) => find(candidate) !== undefined) ?? name;
  };
  return {
    toOurs(names) {
      const present = new Set(names);
      const spelled = new Map<string, string>();
      for (const name of present) {
        const full = canonical(name);
        // A checkpoint with both spellings keeps both: the exact one is meant by the table, the other is reported as unused.
        if (full === name || !spelled.has(full)) spelled.set(full, name);
      }
      return translate(
        [...present],
        (name) => find(canonical(name)),
        (name) => spelled.get(name) ?? name,
      );
    },
    toPublished: (names) =>
      translate(
        [...names],
        (name) => roundTrip(findRule(compiled, "ours", name), name, find),
        (name) => name,
      ),
  };
}

/** Our names are the published ones. */
export const sameNames: NameTable = {
  toOurs: (names) => identity(names),
  toPublished: (names) => identity(names),
};

const identity = (names: Iterable<string>): Translation => ({
  moves: [...names].map((name) => ({ published: [name], ours: [name], axis: 0, parts: [1], transposed: false })),
  dropped: [],
  unmatched: [],
});

function compile([text, target]: Rule): Compiled {
  const verb: Verb = typeof target === "string" ? { kind: "move", ours: target, axis: 0, transposed: false } : target;
  const published = alternatives(text);
  const ours = verb.kind === "drop" ? [] : alternatives(verb.ours);
  const refuse = (why: string) => new CheckpointError(`rename: rule ${show(text)}: ${why}.`);
  if (verb.kind === "drop") return { published, ours, verb };
  const several = Math.max(published.length, ours.length);
  if (published.length > 1 && ours.length > 1) throw refuse("only one side can have a list of alternatives");
  if (verb.parts && (verb.parts.length !== several || !verb.parts.every((part) => Number.isSafeInteger(part) && part > 0)))
    throw refuse(`parts must be ${several} positive integers, received ${show(verb.parts)}`);
  const sorted = (pattern: Pattern) => [...pattern.placeholders].sort().join();
  if (sorted(published[0]!) !== sorted(ours[0]!)) throw refuse(`both sides need the same placeholders, ours is ${show(verb.ours)}`);
  return { published, ours, verb };
}

interface Found {
  readonly rule: Compiled;
  readonly bindings: Bindings;
}

function findRule(rules: readonly Compiled[], side: "published" | "ours", name: string): Found | undefined {
  for (const rule of rules)
    for (const pattern of rule[side]) {
      const bindings = pattern.match(name);
      if (bindings) return { rule, bindings };
    }
  return undefined;
}

/** A rule that an earlier one hides from import must not export: what it writes would be read as something else. */
function roundTrip(found: Found | undefined, ours: string, find: (published: string) => Found | undefined): Found | undefined {
  for (const pattern of found?.rule.published ?? []) {
    const name = pattern.fill(found!.bindings);
    if (find(name)?.rule !== found!.rule)
      throw new CheckpointError(
        `rename: ${show(ours)} would be published as ${show(name)}, which another rule of the table reads: put its rule first.`,
      );
  }
  return found;
}

function translate(names: readonly string[], find: (name: string) => Found | undefined, spell: (name: string) => string): Translation {
  const moves = new Map<string, Move>();
  const dropped: { name: string; reason: string }[] = [];
  const unmatched: string[] = [];
  for (const name of names) {
    const found = find(name);
    if (found === undefined) unmatched.push(name);
    else if (found.rule.verb.kind === "drop") dropped.push({ name, reason: found.rule.verb.reason });
    else {
      const move = makeMove(found, spell);
      // Rules of one target with different published names (gamma, weight) are different moves: loading reports the conflict.
      moves.set(JSON.stringify([move.published, move.ours]), move);
    }
  }
  return { moves: [...moves.values()], dropped, unmatched };
}

function makeMove({ rule: { published, ours, verb }, bindings }: Found, spell: (name: string) => string): Move {
  const { axis, parts, transposed } = verb as Extract<Verb, { kind: "move" }>;
  return {
    published: published.map((pattern) => spell(pattern.fill(bindings))),
    ours: ours.map((pattern) => pattern.fill(bindings)),
    axis,
    parts: parts ?? Array<number>(Math.max(published.length, ours.length)).fill(1),
    transposed,
  };
}
