import { f32, type Param, u32 } from "../../device/launch.ts";
import type { Place, Planner, Use } from "../planner.ts";
import { extentOf, type Pass, passSource, rootSource } from "./pass.ts";

/** Where complex elements come from or go to: WGSL of `load(row, i)` or `store(row, i, v)`, and what it names. */
export interface Side {
  readonly code: string;
  readonly uses: Readonly<Record<string, Use>>;
  readonly params?: Readonly<Record<string, Param>>;
}

/** Transforms of rows of length n, whose prime factors are all small (see `radicesOf`). */
export interface Transform {
  readonly rows: number;
  readonly n: number;
  readonly sign: 1 | -1;
  readonly load: Side;
  readonly store: Side;
}

/** The largest prime that a pass sums directly; a length with a larger one is made a convolution. */
const largestRadix = 64;
/** Elements that a workgroup holds: with their roots 16 KiB, which every device has. */
const held = 1024;
/** The longest sequence of a pass that is not the only one: eight of them side by side, so that memory is read in runs. */
const longest = held / 8;

/** Factors of a length, fours first; undefined where one is too large to sum directly. */
export function radicesOf(n: number): number[] | undefined {
  const radices: number[] = [];
  let rest = n;
  for (const radix of [4, 2]) for (; rest % radix === 0; rest /= radix) radices.push(radix);
  for (let prime = 3; rest > 1 && prime <= largestRadix; prime += 2) for (; rest % prime === 0; rest /= prime) radices.push(prime);
  return rest === 1 ? radices : undefined;
}

/** Radices shared out over launches, the largest first, each into the first that has room. */
function passesOf(n: number): number[][] {
  const radices = radicesOf(n)!;
  if (n <= held) return [radices];
  const passes: { extent: number; radices: number[] }[] = [];
  for (const radix of radices.sort((a, b) => b - a)) {
    const pass = passes.find(({ extent }) => extent * radix <= longest);
    if (pass) {
      pass.extent *= radix;
      pass.radices.push(radix);
    } else passes.push({ extent: radix, radices: [radix] });
  }
  return passes.map((pass) => pass.radices);
}

/** Launches of a transform: one for rows that fit into workgroup memory, else several through scratch. */
export function transform(p: Planner, { rows, n, sign, load, store }: Transform): void {
  const passes = passesOf(n);
  const most = p.caps.software ? held / 4 : held;
  const middle = passes.slice(0, Math.min(2, passes.length - 1)).map(() => p.scratch(2 * rows * n));
  let stride = 1;
  for (const [i, radices] of passes.entries()) {
    const extent = radices.reduce((product, radix) => product * radix, 1);
    const sequences = n / extent;
    const total = rows * sequences;
    const columns = 2 ** Math.max(0, Math.min(Math.floor(Math.log2(most / extent)), Math.ceil(Math.log2(total))));
    const pass: Pass = { radices, columns, whole: passes.length === 1 };
    const from = i === 0 ? load : planes("load", middle[(i - 1) % 2]!, rows * n);
    const to = i === passes.length - 1 ? store : planes("store", middle[i % 2]!, rows * n);
    p.run({
      label: passes.length === 1 ? "fft" : `fft pass of ${extentOf(pass)}`,
      code: [rootSource, from.code, to.code, passSource(pass)].join("\n"),
      params: {
        ...{ rows: u32(rows), n: u32(n), sequences: u32(sequences), stride: u32(stride), sign: f32(sign), plane: u32(rows * n) },
        ...Object.fromEntries(radices.map((radix, index) => [`radix${index}`, u32(radix)])),
        ...{ ...from.params, ...to.params },
      },
      groups: Math.ceil(total / columns),
      reads: from.uses,
      writes: to.uses,
    });
    stride *= extent;
  }
}

/** Scratch between passes: all real parts, then all imaginary ones. */
export function planes(way: "load" | "store", place: Place, plane: number): Side {
  const params = { plane: u32(plane) };
  if (way === "load")
    return {
      code: "fn load(row: u32, i: u32) -> vec2<f32> { let at = row * p.n + i; return vec2<f32>(mid_at(at), mid_at(p.plane + at)); }",
      uses: { mid: place },
      params,
    };
  return {
    code: "fn store(row: u32, i: u32, v: vec2<f32>) { let at = row * p.n + i; made_put(at, v.x); made_put(p.plane + at, v.y); }",
    uses: { made: place },
    params,
  };
}
