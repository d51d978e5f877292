import { expect, test } from "vitest";
import { followers, type Placed } from "../src/device/dependencies.ts";
import { type BufferUse, type Param, u32 } from "../src/device/launch.ts";
import { layOut, type Range } from "../src/device/layout.ts";
import { mergeIndependent } from "../src/device/schedule.ts";

const limits = { maxStorageBufferBindingSize: 1 << 20, maxStorageBuffersPerShaderStage: 8 };
const buffers = Array.from({ length: 4 }, (_, id) => ({ id }) as unknown as GPUBuffer);
const elements = { dtype: "f32", width: 4 } as const;
const codes = ["a", "b"].map(
  (name) =>
    `@compute @workgroup_size(1)\nfn main(@builtin(workgroup_id) group: vec3<u32>) { if (group_of(group) == p.id) { y_put(0u, ${name}_of(x_at(0u))); } }\nfn ${name}_of(v: vec4<f32>) -> vec4<f32> { return v; }`,
);

/** A generator of whole numbers below n: Park and Miller's. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
}

function randomLaunches(seed: number): Placed[] {
  const below = numbers(seed);
  const place = (): Range => ({ buffer: buffers[below(4)]!, offset: 256 * below(6), size: 256 * (1 + below(2)) });
  return Array.from({ length: 60 }, (_, id) => {
    const uses: BufferUse[] = [
      { name: "x", buffer: "x", elements, access: "read" },
      { name: "y", buffer: "y", elements, access: below(3) === 0 ? "part" : below(2) === 0 ? "modify" : "write" },
    ];
    const launch = { label: `${id}`, code: codes[below(2)]!, buffers: uses, params: { id: u32(id) }, groups: 1 };
    return { kernel: "k", step: id >> 2, launch, ranges: [place(), place()] };
  });
}

const overlap = (a: Range, b: Range) => a.buffer === b.buffer && a.offset < b.offset + b.size && b.offset < a.offset + a.size;
/** By definition, use against use. */
const clash = (a: Placed, b: Placed): boolean =>
  a.ranges.some((x, i) =>
    b.ranges.some((y, j) => {
      const [p, q] = [a.launch.buffers[i]!.access, b.launch.buffers[j]!.access];
      if (p === "read" && q === "read") return false;
      return !(p === "part" && q === "part" && a.step === b.step) && overlap(x, y);
    }),
  );
const idsOf = ({ launch }: Placed): number[] =>
  Object.entries(launch.params).flatMap(([name, param]: [string, Param]) => (/^id/.test(name) && "u32" in param ? [param.u32] : []));

test("what clashes keeps its order and stays apart; nothing is lost", () => {
  let fewer = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const list = randomLaunches(seed);
    const merged = mergeIndependent(list, limits);
    const at = new Map(merged.flatMap((one, position) => idsOf(one).map((id): [number, number] => [id, position])));
    expect(at.size).toBe(list.length);
    for (let j = 1; j < list.length; j++)
      for (let i = 0; i < j; i++) if (clash(list[i]!, list[j]!)) expect(at.get(i)!, `${seed}: ${i} before ${j}`).toBeLessThan(at.get(j)!);
    fewer += list.length - merged.length;
  }
  expect(fewer).toBeGreaterThan(0);
});

test("on a processor long launches stay apart, as every workgroup of one takes the time of all its members", () => {
  const list = [300, 300, 1, 1].map((groups, id): Placed => {
    const [placed] = randomLaunches(1) as [Placed];
    const ranges = [0, 1].map((use): Range => ({ buffer: buffers[use]!, offset: 256 * id, size: 256 }));
    return { ...placed, launch: { ...placed.launch, params: { id: u32(id) }, groups }, ranges };
  });
  const merged = (software: boolean) => mergeIndependent(list, { ...limits, software }).map(idsOf);
  expect(merged(false)).toEqual([[0, 1, 2, 3]]);
  expect(merged(true)).toEqual([[0], [1], [2, 3]]);
});

test("followers are those that clash, directly or through what wrote in between", () => {
  const list = randomLaunches(7);
  const after = followers(list);
  const reach = list.map(() => new Set<number>());
  for (let i = list.length - 1; i >= 0; i--) for (const next of after[i]!) for (const one of [next, ...reach[next]!]) reach[i]!.add(one);
  for (let j = 1; j < list.length; j++)
    for (let i = 0; i < j; i++) {
      if (clash(list[i]!, list[j]!)) expect(reach[i]!.has(j), `${i} to ${j}`).toBe(true);
      if (after[i]!.includes(j)) expect(clash(list[i]!, list[j]!), `${i} and ${j}`).toBe(true);
    }
});

test("more uses than bindings share variables by buffer: same elements first, then all as words", () => {
  const [a, b] = buffers as [GPUBuffer, GPUBuffer];
  const use = (i: number, access: BufferUse["access"], width: 1 | 4): BufferUse => ({
    name: `u${i}`,
    buffer: `u${i}`,
    elements: { dtype: "f32", width },
    access,
  });
  const range = (buffer: GPUBuffer, i: number): Range => ({ buffer, offset: 512 * i, size: 256 });
  const vectors = Array.from({ length: 10 }, (_, i) => use(i, i % 2 ? "modify" : "read", 4));
  const one = layOut(
    vectors,
    vectors.map((_, i) => range(a, i)),
    limits,
  );
  expect(one.slots).toMatchObject([{ word: { base: "f32", lanes: 4 }, writable: true, ranges: [{ offset: 0, size: 9 * 512 + 256 }] }]);
  expect(one.places.map(({ first }) => first)).toEqual(vectors.map((_, i) => 128 * i));
  const mixed = Array.from({ length: 10 }, (_, i) => use(i, i === 0 ? "write" : "read", i % 2 ? 1 : 4));
  const words = layOut(
    mixed,
    mixed.map((_, i) => range(a, i)),
    limits,
  );
  expect(words.slots).toMatchObject([{ word: { base: "u32", lanes: 1 }, writable: true }]);
  // What is only read may overlap: vectors and single elements each have a variable of their own.
  const read = mixed.map((one) => ({ ...one, access: "read" as const }));
  const apart = layOut(
    read,
    read.map((_, i) => range(b, i)),
    limits,
  );
  expect(apart.slots.map(({ word }) => word.lanes).sort()).toEqual([1, 4]);
  // Where everything fits nothing is joined.
  expect(
    layOut(
      vectors.slice(0, 8),
      vectors.slice(0, 8).map((_, i) => range(a, i)),
      limits,
    ).slots,
  ).toHaveLength(8);
});
