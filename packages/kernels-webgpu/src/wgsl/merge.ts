import type { BufferUse, Param, WebgpuLaunch } from "../device/launch.ts";

/** A declaration at the top of a source. */
interface Item {
  readonly text: string;
  /** The name of a function; undefined for everything else. */
  readonly fn: string | undefined;
}

/** The source cut into its declarations: each ends with the bracket or the semicolon that closes it. */
function items(code: string): Item[] {
  const found: Item[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < code.length; i++) {
    const char = code[i];
    // A comment may hold any of these.
    if (char === "/" && code[i + 1] === "/") i = Math.max(i, code.indexOf("\n", i) - 1);
    else if (char === "{") depth++;
    else if (char === "}") depth--;
    if (depth > 0 || (char !== "}" && char !== ";")) continue;
    const text = code.slice(start, i + 1).trim();
    start = i + 1;
    if (text !== "" && text !== ";") found.push({ text, fn: /\bfn\s+(\w+)\s*\(/.exec(text)?.[1] });
  }
  return found;
}

/** What a word of a source becomes in the part of it that works for one launch. */
type Rename = (word: string, job: number) => string | undefined;

/**
 * Functions that see buffers or parameters, themselves or through others: those differ from launch to launch. grid_x is the same for all of them.
 */
function varying(list: readonly Item[], buffers: readonly BufferUse[]): Set<string> {
  const accessors = buffers.map(({ name }) => `${name}_(?:at|put|raw|set)`);
  const direct = new RegExp(`\\b(?:${[...accessors, "group_of"].join("|")})\\b|\\bp\\.(?!grid_x\\b)`);
  const names = new Set(list.filter(({ text, fn }) => fn !== undefined && direct.test(text)).map(({ fn }) => fn!));
  for (let before = -1; before !== names.size; ) {
    before = names.size;
    for (const { text, fn } of list) if (fn && !names.has(fn) && mentions(text, names)) names.add(fn);
  }
  return names;
}

const mentions = (text: string, names: ReadonlySet<string>): boolean => (text.match(/\b\w+\b/g) ?? []).some((word) => names.has(word));

const mainHead = /@compute\s+@workgroup_size\(([^)]*)\)\s*fn\s+main\s*\(([\s\S]*?)\)\s*\{/;
/** Parameters of main: their attribute, name and type. */
const parameter = /(@builtin\(\w+\))\s*(\w+)\s*:\s*([\w<>]+)/g;

/**
 * Several launches of one source, independent of each other, as one: the workgroups of the second follow those of the first. Every function that sees buffers or parameters is there once for each, so that what is uniform
 * in a workgroup stays so, barriers included. Workgroup memory is shared, as a workgroup works for one of them.
 */
export function mergeLaunches(launches: readonly WebgpuLaunch[]): WebgpuLaunch {
  const [first] = launches as [WebgpuLaunch];
  const list = items(first.code);
  const own = varying(list, first.buffers);
  const buffers = new Set(first.buffers.map(({ name }) => name));
  const rename: Rename = (word, job) => {
    const accessor = /^(\w+)_(at|put|raw|set)$/.exec(word);
    if (accessor && buffers.has(accessor[1]!)) return `${accessor[1]}_j${job}_${accessor[2]}`;
    if (word === "group_of" || word === "main") return `${word}_j${job}`;
    return own.has(word) ? `${word}_j${job}` : undefined;
  };
  const main = list.find(({ fn }) => fn === "main")!;
  const [, size, head] = mainHead.exec(main.text)!;
  const given = [...head!.matchAll(parameter)].map(([, attribute, name, type]) => ({ attribute: attribute!, name: name!, type: type! }));
  const common = list.filter(({ fn }) => fn === undefined || !own.has(fn));
  const copies = launches.flatMap((_, job) => [
    `fn group_of_j${job}(workgroup: vec3<u32>) -> u32 { return group_of(workgroup) - p.start_j${job}; }`,
    ...list.filter(({ fn }) => fn !== undefined && own.has(fn)).map(({ text }) => copyFor(text, job, rename)),
  ]);
  const call = (job: number) => `main_j${job}(${given.map(({ name }) => name).join(", ")});`;
  const group = given.find(({ attribute }) => attribute.includes("workgroup_id"))!.name;
  const chain = launches
    .map((_, job) => (job === launches.length - 1 ? `{ ${call(job)} }` : `if (at < p.start_j${job + 1}) { ${call(job)} }`))
    .join(" else ");
  const entry = `@compute @workgroup_size(${size})
fn main(${given.map(({ attribute, name, type }) => `${attribute} ${name}: ${type}`).join(", ")}) { let at = group_of(${group}); ${chain} }`;
  return {
    label: `${first.label} x ${launches.length}`,
    code: [...common.map(({ text }) => text), ...copies, entry].join("\n"),
    buffers: launches.flatMap((launch, job) => launch.buffers.map((use) => ({ ...use, name: `${use.name}_j${job}` }))),
    params: Object.fromEntries([...launches.flatMap(numbered), ...starts(launches)]),
    groups: launches.reduce((sum, { groups }) => sum + groups, 0),
    ...(first.enable && { enable: first.enable }),
  };
}

/** A function of the source as the launch \`job\` has it. */
function copyFor(text: string, job: number, rename: Rename): string {
  const plain = text.replace(mainHead, (_, _size, head: string) => `fn main(${head.replace(parameter, "$2: $3")}) {`);
  return plain.replace(/\bp\.(?!grid_x\b)(\w+)/g, `p.$1_j${job}`).replace(/\b[A-Za-z_]\w*\b/g, (word) => rename(word, job) ?? word);
}

const numbered = ({ params }: WebgpuLaunch, job: number): [string, Param][] =>
  Object.entries(params).map(([name, value]) => [`${name}_j${job}`, value]);

/** The number of the first workgroup of each launch. */
function starts(launches: readonly WebgpuLaunch[]): [string, Param][] {
  let start = 0;
  return launches.map(({ groups }, job) => {
    const entry: [string, Param] = [`start_j${job}`, { u32: start }];
    start += groups;
    return entry;
  });
}
