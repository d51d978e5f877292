import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arange, broadcast, reference, type Shape, ShapeError, sizeOf, Tensor } from "../src/index.ts";
import { contiguousStrides, reshapedStrides } from "../src/shape.ts";

const device = reference();
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
const filled = (shape: Shape) => arange(sizeOf(shape), { device }).reshape(shape);

/** Host model of a tensor: a function from index to value. */
const indices = (shape: Shape): number[][] =>
  shape.reduce<number[][]>((lists, n) => lists.flatMap((list) => Array.from({ length: n }, (_, i) => [...list, i])), [[]]);
const at = (shape: Shape, index: readonly number[]) => index.reduce((sum, i, axis) => sum + i * contiguousStrides(shape)[axis]!, 0);
async function expectElements(tensor: Tensor, shape: Shape, element: (index: number[]) => number) {
  expect(tensor.shape).toEqual(shape);
  expect([...(await tensor.data())]).toEqual(indices(shape).map(element));
}

describe("broadcasting", () => {
  test("agrees with brute force", () => {
    const extent = (shapes: readonly Shape[], fromEnd: number) => shapes.map((shape) => shape.at(-1 - fromEnd) ?? 1);
    fc.assert(
      fc.property(fc.array(fc.array(fc.constantFrom(0, 1, 2, 3), { maxLength: 3 }), { minLength: 1, maxLength: 3 }), (list) => {
        const rank = Math.max(...list.map((shape) => shape.length));
        const columns = Array.from({ length: rank }, (_, i) => extent(list, rank - 1 - i).filter((n) => n !== 1));
        const fits = columns.every((column) => new Set(column).size <= 1);
        if (fits) expect(broadcast(list, "test")).toEqual(columns.map((column) => column[0] ?? 1));
        else expect(() => broadcast(list, "test")).toThrow(ShapeError);
      }),
    );
  });

  test("elements come from where they should", async () => {
    const pairs: [number[], number[], number[]][] = [
      [
        [2, 1, 3],
        [4, 1],
        [2, 4, 3],
      ],
      [[], [2], [2]],
      [
        [0, 3],
        [1, 1],
        [0, 3],
      ],
      [[1], [2, 2], [2, 2]],
    ];
    for (const [a, b, out] of pairs) {
      const pick = (shape: Shape, index: number[]) =>
        at(
          shape,
          shape.map((n, axis) => (n === 1 ? 0 : index[index.length - shape.length + axis]!)),
        );
      await expectElements(filled(a).mul(100).add(filled(b)), out, (index) => pick(a, index) * 100 + pick(b, index));
    }
  });
});

/** A random view with the model of it: each step is a view operation and the same on indices. */
interface Step {
  readonly view: Tensor;
  readonly shape: Shape;
  readonly element: (index: number[]) => number;
}
function step({ view, shape, element }: Step, choice: number, detail: number): Step {
  const rank = shape.length;
  if (rank === 0) return { view, shape, element };
  const axis = detail % rank;
  const n = shape[axis]!;
  if (choice === 0) return { view: view.flip(axis), shape, element: (index) => element(index.map((i, a) => (a === axis ? n - 1 - i : i))) };
  if (choice === 1) {
    const start = Math.min(n, detail % 3);
    const by = 1 + (detail % 2);
    const cut = shape.map((m, a) => (a === axis ? Math.ceil((n - start) / by) : m));
    return {
      view: view.slice(axis, start, n, by),
      shape: cut,
      element: (index) => element(index.map((i, a) => (a === axis ? start + i * by : i))),
    };
  }
  if (choice === 2) {
    const other = (axis + 1) % rank;
    const order = shape.map((_, a) => (a === axis ? other : a === other ? axis : a));
    return {
      view: view.permute(order),
      shape: order.map((a) => shape[a]!),
      element: (index) => element(order.map((_, a) => index[order.indexOf(a)]!)),
    };
  }
  const wide = [2, ...shape];
  return { view: view.unsqueeze(0).expand(wide), shape: wide, element: ([, ...index]) => element(index) };
}

describe("views", () => {
  const walks = fc.record({ shape: shapes, steps: fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.nat(11)), { maxLength: 4 }) });

  test("chains of flips, slices, permutations and expansions read the right elements", async () => {
    await fc.assert(
      fc.asyncProperty(walks, async ({ shape, steps }) => {
        const start: Step = { view: filled(shape), shape, element: (index) => at(shape, index) };
        const end = steps.reduce((now, [choice, detail]) => step(now, choice, detail), start);
        await expectElements(end.view, end.shape, end.element);
        // And as an operand, where the layout reaches a kernel.
        await expectElements(end.view.mul(2), end.shape, (index) => 2 * end.element(index));
      }),
      { numRuns: 150 },
    );
  });

  test("reshaping a view keeps the row-major order", async () => {
    await fc.assert(
      fc.asyncProperty(walks, fc.integer({ min: 1, max: 6 }), async ({ shape, steps }, divisor) => {
        const end = steps.reduce((now, [choice, detail]) => step(now, choice, detail), {
          view: filled(shape),
          shape,
          element: (index) => at(shape, index),
        } as Step);
        const size = sizeOf(end.shape);
        const target = size % divisor === 0 ? [divisor, size / divisor] : [size];
        expect([...(await end.view.reshape(target).data())]).toEqual(indices(end.shape).map(end.element));
      }),
      { numRuns: 150 },
    );
  });

  test("strides that reshape claims are right wherever it claims any", () => {
    const factors = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(factors, fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 4, maxLength: 4 }), fc.nat(5), (shape, strides, seed) => {
        const own = strides.slice(0, shape.length);
        const target =
          seed === 0
            ? [sizeOf(shape)]
            : seed === 1
              ? [1, ...shape]
              : seed === 2
                ? [...shape, 1]
                : shape.length > 1
                  ? [shape[0]! * shape[1]!, ...shape.slice(2)]
                  : [1, shape[0]!];
        const seen = reshapedStrides(shape, own, target);
        if (!seen) return;
        const place = (index: readonly number[], strides: readonly number[]) => index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0);
        expect(indices(target).map((index) => place(index, seen))).toEqual(indices(shape).map((index) => place(index, own)));
      }),
    );
  });

  test("reshape shares memory where strides can say it, and copies elsewhere", () => {
    expect(reshapedStrides([6, 4], [4, 1], [2, 3, 4])).toEqual([12, 4, 1]);
    expect(reshapedStrides([6, 4], [8, 1], [2, 3, 4])).toEqual([24, 8, 1]);
    expect(reshapedStrides([6, 4], [8, 1], [24])).toBeUndefined();
    expect(reshapedStrides([4, 6], [1, 4], [24])).toBeUndefined();
    expect(reshapedStrides([3, 1, 4], [0, 0, 1], [3, 4, 1])).toEqual([0, 1, expect.any(Number)]);
  });
});

test("squeeze, unsqueeze, split, stack and negative axes", async () => {
  const x = filled([2, 3]);
  expect(x.unsqueeze(-1).shape).toEqual([2, 3, 1]);
  expect(x.unsqueeze(0).squeeze().shape).toEqual([2, 3]);
  expect(x.unsqueeze(1).squeeze(1).shape).toEqual([2, 3]);
  expect(await Promise.all(x.split(1, [1, 2]).map((part) => part.array()))).toEqual([
    [[0], [3]],
    [
      [1, 2],
      [4, 5],
    ],
  ]);
  expect(x.split(0, 2).map((part) => part.shape)).toEqual([
    [1, 3],
    [1, 3],
  ]);
  expect(Tensor.stack([x, x], 1).shape).toEqual([2, 2, 3]);
  expect(await x.transpose().array()).toEqual([
    [0, 3],
    [1, 4],
    [2, 5],
  ]);
  expect(x.reshape([-1]).shape).toEqual([6]);
});
