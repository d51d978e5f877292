import type { AttentionWords } from "../protocol.ts";

/** A token as a picture shows it: one sign, blanks made visible. */
export const glyph = (token: string): string => ({ " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍" })[token] ?? token;

/** A token as words say it. */
export const spoken = (token: string): string => ({ " ": "blank", "\n": "line break", "\t": "tab" })[token] ?? `“${token}”`;

/** The positions that `position` looks at most, the first the most. */
export function strongest({ tokens, weights }: AttentionWords, position: number, count: number): { position: number; weight: number }[] {
  const row = weights.subarray(position * tokens.length, (position + 1) * tokens.length);
  return [...row]
    .map((weight, at) => ({ position: at, weight }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, count)
    .filter(({ weight }) => weight >= 0.005);
}

/** Where a position looks, as a sentence. */
export function reading(words: AttentionWords, position: number): string {
  const { tokens } = words;
  const list = strongest(words, position, 4).map(
    ({ position: at, weight }) => `${spoken(tokens[at]!)} at ${at + 1} (${Math.round(weight * 100)} %)`,
  );
  return `${capital(spoken(tokens[position]!))} at ${position + 1} looks at ${list.join(", ")}.`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
