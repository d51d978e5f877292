import { RotaryPositions } from "@x/posenc";
import { arange, compile, Generator, randn, Tensor, tensor, withDevice, withGenerator, withPrecision } from "@x/tensor";
import { describeDevices } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FavorFeatures, KernelFeatures, LinearAttention, LinearState, PerformerAttention, SoftmaxPairFeatures } from "../src/index.ts";
import { devices } from "./support.ts";

expect.extend(tensorMatchers);
const close = { atol: 1e-5, rtol: 1e-4 };
const span = (x: Tensor, from: number, to: number): Tensor => x.slice(1, from, to);

/** Layers of every kind of state, one after the other: sums alone, sums with a scale, with a floor beside it, local heads. */
class Stack {
  readonly layers: readonly LinearAttention[];
  constructor() {
    const options = { dim: 8, numHeads: 4, numKvHeads: 2, headDim: 4, causal: true, chunk: 3 };
    const rotation = new RotaryPositions({ headDim: 4, maxLength: 256 });
    this.layers = [
      new PerformerAttention({ ...options, eps: 0.01, rotation, localHeads: 2, localWindow: 3, keySumEps: 0.01 }),
      new LinearAttention({ ...options, features: new FavorFeatures({ headDim: 4, eps: 0, kind: "hyperbolic" }) }),
      new LinearAttention({ ...options, features: new KernelFeatures({ headDim: 4, kernel: "elu1" }), rotation }),
      new LinearAttention({ ...options, features: new SoftmaxPairFeatures({ headDim: 4 }), normalize: false }),
    ];
  }
  whole(x: Tensor, positions = arange(x.shape[1]!, { device: x.device })): Tensor {
    return this.layers.reduce((y, layer) => y.add(layer.forward(y, { positions })), x);
  }
  cached(x: Tensor, state: LinearState): Tensor {
    const count = x.shape[1]!;
    state.checkRoom(x.shape);
    const positions = state.positions(count);
    const y = this.layers.reduce((y, layer, i) => y.add(layer.forward(y, { positions, cache: state.layers[i] })), x);
    state.advance(count);
    return y;
  }
  state(batch: number, capacity?: number): LinearState {
    return new LinearState({ batch, layers: this.layers, ...(capacity !== undefined && { capacity }) });
  }
}

await describeDevices(
  devices,
  (device, { test }) => {
    const here = <R>(fn: () => R): R => withDevice(device, fn);
    const made = () => here(() => withGenerator(new Generator({ seed: 3, device }), () => new Stack()));
    const drawn = (...shape: number[]): Tensor => randn(shape, { device });
    const ids = (...rows: number[]): Tensor => tensor(Int32Array.from(rows), { device });

    test("step by step is the whole", async () => {
      const model = made();
      const x = drawn(2, 9, 8);
      const whole = here(() => model.whole(x));
      const state = here(() => model.state(2));
      for (let i = 0; i < 9; i++)
        await expect(here(() => model.cached(span(x, i, i + 1), state))).toBeCloseToTensor(span(whole, i, i + 1), close);
    });

    test("whatever the spans, they give what the whole gives", async () => {
      const model = made();
      const x = drawn(2, 12, 8);
      const whole = here(() => model.whole(x));
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 2, maxLength: 6 }), async (sizes) => {
          const state = here(() => model.state(2, 12));
          let at = 0;
          for (const size of sizes) {
            const end = Math.min(12, at + size);
            if (end === at) break;
            await expect(here(() => model.cached(span(x, at, end), state))).toBeCloseToTensor(span(whole, at, end), close);
            at = end;
          }
          expect(state.length).toBe(at);
          state.dispose();
        }),
        { numRuns: 6 },
      );
    });

    test("left-padded rows give at every step what they give alone", async () => {
      const model = made();
      const padding = [3, 0, 6];
      const rows = padding.map((count) => drawn(1, 10 - count, 8));
      const x = Tensor.concat(
        rows.map((row, i) => Tensor.concat([drawn(1, padding[i]!, 8), row], 1)),
        0,
      );
      const alone = here(() => rows.map((row) => model.whole(row)));
      const state = here(() => model.state(3));
      here(() => state.reset(padding));
      for (const [from, to] of [
        [0, 4],
        [4, 5],
        [5, 8],
        [8, 10],
      ] as const) {
        const y = here(() => model.cached(span(x, from, to), state));
        expect([...(await y.data())].every(Number.isFinite)).toBe(true);
        for (const [i, count] of padding.entries()) {
          const start = Math.max(from, count);
          if (start >= to) continue;
          const expected = span(alone[i]!, start - count, to - count);
          await expect(y.slice(0, i, i + 1).slice(1, start - from, to - from)).toBeCloseToTensor(expected, close);
        }
      }
    });

    test("a compiled step goes on where an eager prefill ended", async () => {
      const model = made();
      const x = drawn(2, 8, 8);
      const whole = here(() => model.whole(x));
      const state = here(() => model.state(2));
      here(() => state.reset([0, 0]));
      const step = compile(({ x }: { x: Tensor }) => model.cached(x, state), { device });
      here(() => model.cached(span(x, 0, 3), state));
      for (let at = 3; at < 8; at++) {
        const y = step({ x: span(x, at, at + 1) });
        state.counted(1);
        await expect(y).toBeCloseToTensor(span(whole, at, at + 1), close);
      }
      expect(state.length).toBe(8);
      expect([...(await state.lengths.data())]).toEqual([8, 8]);
      step.release();
    });

    test("in half precision, step by step is nearly the whole", async () => {
      const model = made();
      const parameters = model.layers.flatMap((layer) => layer.parameters());
      const narrow = (fn: () => Tensor) => here(() => withPrecision("f16", parameters, () => fn().cast("f32")));
      const x = drawn(2, 7, 8).cast("f16");
      const whole = narrow(() => model.whole(x));
      const state = here(() => model.state(2));
      for (let i = 0; i < 7; i++)
        await expect(narrow(() => model.cached(span(x, i, i + 1), state))).toBeCloseToTensor(span(whole, i, i + 1), {
          atol: 0.02,
          rtol: 0.02,
        });
    });

    test("forks, rows in another order, and other numbers of rows go their own ways", async () => {
      const model = made();
      const x = drawn(3, 8, 8);
      const whole = here(() => model.whole(x));
      const state = here(() => model.state(3));
      here(() => model.cached(span(x, 0, 5), state));
      const copy = here(() => state.fork());
      here(() => model.cached(drawn(3, 2, 8), copy));
      const five = here(() => state.select([1, 1, 0, 2, 2]));
      const rows = ids(1, 1, 0, 2, 2);
      await expect(here(() => model.cached(span(x.take(rows, 0), 5, 8), five))).toBeCloseToTensor(span(whole.take(rows, 0), 5, 8), close);
      const order = ids(2, 0, 0);
      here(() => state.gather(order));
      await expect(here(() => model.cached(span(x.take(order, 0), 5, 8), state))).toBeCloseToTensor(
        span(whole.take(order, 0), 5, 8),
        close,
      );
      expect([five.batch, five.length, copy.length, state.length]).toEqual([5, 8, 7, 8]);
    });

    test("reset starts over, over what is no number; truncate to nothing too, and to no other length", async () => {
      const model = made();
      const state = here(() => model.state(2));
      here(() => model.cached(tensor(new Float32Array(48).fill(Number.NaN), { shape: [2, 3, 8], device }), state));
      here(() => state.reset([0, 1]));
      const x = drawn(2, 4, 8);
      const first = here(() => model.cached(x, state));
      expect([...(await first.slice(0, 0, 1).data())].every(Number.isFinite)).toBe(true);
      await expect(first.slice(0, 0, 1)).toBeCloseToTensor(
        here(() => model.whole(x.slice(0, 0, 1))),
        close,
      );
      state.truncate(4);
      expect(() => state.truncate(2)).toThrow(
        "LinearState.truncate: of 4 positions all or none can be kept, as only their sums are, got 2. Fork",
      );
      here(() => state.truncate(0));
      // The padding stays.
      await expect(here(() => model.cached(x, state))).toBeCloseToTensor(first, { atol: 0, rtol: 0 });
    });
  },
  { describe, test },
);

test("a state has the size of its sums, however long the text", async () => {
  await withDevice(await devices[0]!.open(), async () => {
    const layer = new PerformerAttention({ dim: 8, numHeads: 2, numKvHeads: 1, numFeatures: 6, causal: true });
    const state = new LinearState({ batch: 3, layers: [layer], capacity: 100_000 });
    // Sums [6, 4] and [6], the largest scale, the sum of values [4] and their number; two counts a row.
    expect(state.bytes).toBe(3 * 4 * (24 + 6 + 1 + 4 + 1));
    const { bytes } = state;
    layer.forward(randn([3, 50, 8]), { cache: state.layers[0] });
    state.advance(50);
    expect(state.bytes).toBe(bytes);
  });
});

describe("misuse", () => {
  const [{ open }] = devices as [(typeof devices)[number]];
  test("rows, lengths and layers that do not fit are refused, before anything is written", async () => {
    const device = await open();
    await withDevice(device, async () => {
      const model = new Stack();
      const state = model.state(2, 4);
      expect(() => state.gather(tensor(Int32Array.of(0)))).toThrow("LinearState.gather: rows must be i32 [2], got [1]");
      expect(() => state.select([0, 2])).toThrow("LinearState.select: rows must be from 0 to 1, got 2");
      expect(() => state.reset([1])).toThrow("LinearState.reset: padding must be 2 counts from 0 to the capacity 4, one a row, got [1]");
      expect(() => state.checkRoom([3, 1])).toThrow("tokens are [3, 1], but the state has 2 rows");
      expect(() => state.checkRoom([2, 5])).toThrow("5 more positions do not fit: 0 of 4 are filled");
      expect(() => state.checkRoom([2, 3], 2)).toThrow("3 positions after 0 pass the model's maxLength 2 in every row");
      expect(() => model.state(0)).toThrow("LinearState: batch must be a positive integer, got 0");
      const [local, other] = [model.layers[0]!, model.layers[2]!];
      const positions = arange(1);
      const wrong = new LinearState({ batch: 1, layers: [other] }).layers[0];
      expect(() => local.forward(randn([1, 1, 8]), { positions, cache: wrong })).toThrow("was made for another layer");
      const open_ = new LinearAttention({ dim: 8, numHeads: 2, features: new KernelFeatures({ headDim: 4, kernel: "elu1" }) });
      expect(() => open_.forward(randn([1, 1, 8]), { cache: wrong })).toThrow(
        "LinearAttention: a cache needs causal attention; set causal: true.",
      );
      const global = new PerformerAttention({ dim: 8, numHeads: 2, causal: true, stabilizer: "global" });
      expect(() => global.forward(randn([1, 1, 8]), { cache: new LinearState({ batch: 1, layers: [global] }).layers[0] })).toThrow(
        'PerformerAttention: over a cache later keys are not known; set stabilizer: "running".',
      );
    });
  });
});
