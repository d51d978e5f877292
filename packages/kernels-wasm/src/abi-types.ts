/** The types of the argument words: what a line such as "c:f32* rows:i32 scale?:f32 shape:i32[6]" says. */
type Value<T extends string> = T extends `${string}[${string}]` ? ArrayLike<number> : number;
type Whole<F extends string> = F extends `${infer N}:${infer T}`
  ? N extends `${string}?`
    ? unknown
    : { readonly [K in N]: Value<T> }
  : never;
type Partly<F extends string> = F extends `${infer N}?:${infer T}` ? { readonly [K in N]?: Value<T> | undefined } : unknown;
type Line<L extends string> = L extends `${infer F} ${infer R}` ? Whole<F> & Partly<F> & Line<R> : Whole<L> & Partly<L>;

/** The record of arguments that a list of lines asks for. */
export type Fields<L extends readonly string[]> = L extends readonly [infer F extends string, ...infer R extends readonly string[]]
  ? Line<F> & Fields<R>
  : unknown;

export interface Field {
  readonly name: string;
  /** f32 or i32 constants; or the element type that an address points at. */
  readonly type: string;
  readonly pointer: boolean;
  readonly optional: boolean;
  /** Number of words. */
  readonly words: number;
}

export function parseFields(lines: readonly string[]): Field[] {
  return lines.flatMap((line) => line.split(" ")).map(parseField);
}

function parseField(text: string): Field {
  const match = /^(\w+)(\??):(\w+)(\*?)(?:\[(\d+)\])?$/.exec(text);
  if (!match) throw new Error(`abi: cannot read the field "${text}"`);
  const [, name, optional, type, pointer, words] = match;
  return { name: name!, type: type!, pointer: pointer === "*", optional: optional === "?", words: Number(words ?? 1) };
}
