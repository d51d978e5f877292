import { and, attention, blockMap, blocks, causal, window } from "@x/ops";
import {
  compile,
  type Device,
  Generator,
  grad,
  Parameter,
  reference,
  type Tensor,
  tensor,
  valueAndGrad,
  withDevice,
  withGenerator,
} from "@x/tensor";
import { expect, test } from "vitest";
import { onAdapter } from "./adapter.ts";

const wave = (shape: readonly number[], step: number): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((n, extent) => n * extent, 1) }, (_, i) => Math.sin(i * step)),
    { shape },
  );

/** The result and all gradients of attention with everything that may be handed in: more than a launch has bindings for. */
function everything(pattern: Parameters<typeof blockMap>[0], [queries, keys]: readonly [number, number], dtype: "f32" | "f16") {
  const inputs = {
    q: wave([2, 4, queries, 8], 1.3).cast(dtype),
    k: wave([2, 2, keys, 8], 1.7).cast(dtype),
    v: wave([2, 2, keys, 5], 2.1).cast(dtype),
    bias: wave([4, 41], 0.9),
  };
  const keyMask = tensor(
    Array.from({ length: 2 * keys }, (_, i) => i % 7 !== 3),
    { shape: [2, keys] },
  );
  const map = blockMap(pattern, { queries, keys });
  const key = tensor(Uint32Array.of(1, 2, 3, 4));
  const run = () => attention({ ...inputs, keyMask, map, key }, { scale: 0.6, softcap: 2, dropout: 0.3, ordinal: 9 });
  return [run(), ...Object.values(grad(() => run().cast("f32").square().sum(), inputs))].map((x) => x.cast("f32").data());
}

/** Losses of a layer that learns to attend: one projection for queries, keys and values, a table of biases, a window and dropout, eight compiled steps downhill. */
async function losses(device: Device): Promise<number[]> {
  const weights = [0, 1, 2].map((i) => new Parameter({ shape: [12, 12], data: weightsOf(144, i), device }));
  const table = new Parameter({ shape: [3, 15], data: new Float32Array(45), device });
  const generator = new Generator({ seed: 3, device });
  const pattern = and(causal(), window(20));
  const split = (x: Tensor) => x.reshape([2, 70, 3, 4]).permute([0, 2, 1, 3]);
  const step = compile(
    ({ x, y }: { x: Tensor; y: Tensor }) => {
      const cells = [...weights, table];
      const { value, gradients } = valueAndGrad(() => {
        const [q, k, v] = weights.map((weight) => split(x.matmul(weight.value))) as [Tensor, Tensor, Tensor];
        const map = blockMap(pattern, { queries: 70, keys: 70, device });
        const inputs = { q, k, v, map, bias: table.value, key: generator.key };
        const o = attention(inputs, { scale: 0.5, softcap: 5, dropout: 0.1, ordinal: generator.nextOrdinal() });
        return o.sub(split(y)).square().mean();
      }, cells);
      for (const [i, cell] of cells.entries()) cell.set(cell.value.sub(gradients[i]!.mul(2)));
      return value;
    },
    { device },
  );
  const made: number[] = [];
  for (let i = 0; i < 8; i++) {
    const rows = (shift: number) => ({ data: weightsOf(1680, i + shift), shape: [2, 70, 12] });
    made.push(await withGenerator(generator, () => step({ x: rows(0), y: rows(0.5) })).item());
  }
  return made;
}
const weightsOf = (size: number, shift: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.37 + shift));

await onAdapter(
  (device) => {
    const patterns = [[causal(), window(9, 2), window(40, 40), and(causal(), blocks([[0, 0], [0, 1, 1], [2]], { size: 64 }))]];

    test.each([
      ["f32", 2e-4],
      ["f16", 2e-2],
    ] as const)("all of it at once fits eight bindings, in %s", async (dtype, tolerance) => {
      const run = () => Promise.all(everything(patterns, [66, 131], dtype));
      const [made, expected] = [await withDevice(device, run), await withDevice(reference(), run)];
      for (const [i, values] of made.entries())
        for (const [at, value] of values.entries())
          expect(Math.abs(value - expected[i]![at]!), `${i}, element ${at}`).toBeLessThan(tolerance * (1 + Math.abs(expected[i]![at]!)));
    });

    test("a layer with a window, a bias and dropout learns as it does on the reference device", async () => {
      const [made, expected] = [await losses(device), await losses(reference())];
      for (const [i, loss] of made.entries()) expect(loss).toBeCloseTo(expected[i]!, 4);
      expect(made.at(-1)).toBeLessThan(0.9 * made[0]!);
    });

    test("a map of other lengths gives NaN, not numbers that look right", async () => {
      const made = withDevice(device, () => {
        const [q, k, v] = [wave([1, 1, 3, 4], 1), wave([1, 1, 4, 4], 2), wave([1, 1, 4, 4], 3)];
        const bias = wave([1, 13], 1);
        const run = () => attention({ q, k, v, bias, map: blockMap(causal(), { queries: 3, keys: 5 }) }, { scale: 1 });
        return [run(), ...grad(() => run().sum(), [q, k, v])].map((x) => x.data());
      });
      for (const values of await Promise.all(made)) expect([...values].every(Number.isNaN)).toBe(true);
    });
  },
  "swiftshader",
  { strict: true, defaultLimits: true },
);
