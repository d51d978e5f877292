import { fileURLToPath } from "node:url";
import { openSafetensors } from "@x/checkpoint";
import { arange, compile, reference, setDefaultDevice, Tensor, tensor, vjp, zeros } from "@x/tensor";
import { compareOutput, type ParityTensor, readParityModule, Stream } from "@x/testing";
import { tensorMatchers } from "@x/testing/vitest";
import { beforeAll, describe, expect, test } from "vitest";
import { RotaryPositions, ropeFrequencies } from "../src/index.ts";

expect.extend(tensorMatchers);
beforeAll(() => setDefaultDevice(reference()));

const fixtures = fileURLToPath(new URL("../../../fixtures/layers", import.meta.url));
const { cases } = await readParityModule(fixtures, "rope", openSafetensors);
const normal = (name: string, ...shape: number[]) =>
  tensor(Float32Array.from(new Stream(name).normal(shape.reduce((a, b) => a * b, 1))), { shape });
const at = (...positions: number[]) => tensor(Int32Array.from(positions), { shape: [positions.length] });

describe("as transformers has it", () => {
  test.each(cases.map((one) => [one.name, one] as const))("%s", async (_, { options, inputs, cotangents, expected }) => {
    const floats = ({ shape, data }: ParityTensor) => tensor(Float32Array.from(data), { shape });
    const [query, key] = [floats(inputs.get("query")!), floats(inputs.get("key")!)];
    const { shape, data } = inputs.get("position")!;
    const positions = tensor(Int32Array.from(data), { shape });
    const maxLength = 4096;
    const rotary = new RotaryPositions({
      headDim: query.shape[3]!,
      maxLength,
      base: options.theta as number,
      rotaryDim: options.d as number,
    });
    const seeds = ["query", "key"].map((name) => floats(cotangents.get(name)!));
    const turn = () => [query, key].map((x) => rotary.forward(x, positions));
    const { value, gradients } = vjp(turn, [query, key], seeds);
    const found: Record<string, Tensor> = {
      "outputs.query": value[0]!,
      "outputs.key": value[1]!,
      "grads.query": gradients[0]!,
      "grads.key": gradients[1]!,
    };
    for (const output of expected) {
      const got = found[output.name]!;
      const comparison = compareOutput({ shape: got.shape, data: await got.data() }, output);
      expect(comparison.pass, `${output.name}: ${comparison.report()}`).toBe(true);
    }
  });
});

describe("a rotation", () => {
  const options = [
    ["halves", 8],
    ["interleaved", 8],
    ["halves", 4],
    ["interleaved", 4],
  ] as const;

  test("turns each pair by position times frequency", async () => {
    const x = tensor([[[[1, 2, 3, 4]]]]);
    const [c, s] = [
      [Math.cos(5), Math.cos(0.05)],
      [Math.sin(5), Math.sin(0.05)],
    ] as const;
    const turn = (a: number, b: number, i: 0 | 1) => [a * c[i] - b * s[i], b * c[i] + a * s[i]] as const;
    const rotary = (pairs: "halves" | "interleaved") => new RotaryPositions({ headDim: 4, maxLength: 6, pairs }).forward(x, at(5));
    const [first, second] = [turn(1, 3, 0), turn(2, 4, 1)];
    await expect(rotary("halves")).toBeCloseToTensor([[[[first[0], second[0], first[1], second[1]]]]]);
    await expect(rotary("interleaved")).toBeCloseToTensor([[[[...turn(1, 2, 0), ...turn(3, 4, 1)]]]]);
  });

  test.each(options)("of %s, %i of 8 dimensions, keeps norms and passes position 0 unchanged", async (pairs, rotaryDim) => {
    const rotary = new RotaryPositions({ headDim: 8, maxLength: 64, pairs, rotaryDim });
    const x = normal("norms", 2, 3, 5, 8);
    const turned = rotary.forward(x, at(0, 1, 7, 31, 63));
    await expect(turned.square().sum(-1)).toBeCloseToTensor(x.square().sum(-1));
    await expect(turned.slice(2, 0, 1)).toBeCloseToTensor(x.slice(2, 0, 1), { atol: 0, rtol: 0 });
    await expect(turned.slice(3, rotaryDim, 8)).toBeCloseToTensor(x.slice(3, rotaryDim, 8), { atol: 0, rtol: 0 });
    if (rotaryDim < 8)
      expect(
        await turned
          .slice(3, 0, rotaryDim)
          .sub(x.slice(3, 0, rotaryDim))
          .abs()
          .max()
          .item(),
      ).toBeGreaterThan(0.1);
  });

  test.each(["halves", "interleaved"] as const)("of %s makes scores depend on the distance alone, far out too", async (pairs) => {
    const rotary = new RotaryPositions({ headDim: 8, maxLength: 100_001, pairs });
    const draw = new Stream("places");
    const [m, n, shift] = [draw.integers(50, 0, 1000), draw.integers(50, 0, 1000), draw.integers(50, 0, 99_000)];
    const [q, k] = [normal("q", 1, 1, 1, 8), normal("k", 1, 1, 1, 8)].map((x) => x.expand([1, 1, 50, 8]).copy());
    const score = (left: Float64Array, right: Float64Array) =>
      rotary
        .forward(q!, at(...left))
        .mul(rotary.forward(k!, at(...right)))
        .sum(-1);
    const moved = score(
      m.map((place, i) => place + shift[i]!),
      n.map((place, i) => place + shift[i]!),
    );
    await expect(moved).toBeCloseToTensor(score(m, n), { atol: 1e-3, rtol: 0 });
    expect(await score(n, m).sub(score(m, n)).abs().max().item()).toBeGreaterThan(0.1);
  });

  test("of halves and of neighbours are one, up to the order of elements", async () => {
    // half(x[order]) = neighbours(x)[order]: what permutes the rows of a query weight from Meta's layout to that of Hugging Face.
    const order = at(0, 2, 4, 6, 1, 3, 5, 7);
    const back = at(0, 4, 1, 5, 2, 6, 3, 7);
    const x = normal("layouts", 2, 2, 5, 8);
    const [halves, neighbours] = (["halves", "interleaved"] as const).map(
      (pairs) => new RotaryPositions({ headDim: 8, maxLength: 9, pairs }),
    );
    const positions = at(0, 1, 2, 5, 8);
    await expect(halves!.forward(x.take(order, 3), positions)).toBeCloseToTensor(neighbours!.forward(x, positions).take(order, 3));
    await expect(halves!.forward(x.take(order, 3), positions).take(back, 3)).toBeCloseToTensor(neighbours!.forward(x, positions));
  });

  test("of a part uses the frequencies of that part, as if there were no rest", async () => {
    const part = new RotaryPositions({ headDim: 80, maxLength: 40, rotaryDim: 32 });
    const whole = new RotaryPositions({ headDim: 32, maxLength: 40 });
    const x = normal("part", 1, 2, 4, 80);
    const positions = at(1, 9, 20, 39);
    const expected = Tensor.concat([whole.forward(x.slice(3, 0, 32), positions), x.slice(3, 32, 80)], 3);
    await expect(part.forward(x, positions)).toBeCloseToTensor(expected, { atol: 0, rtol: 0 });
    expect(part.prepare(0).cos.shape).toEqual([40, 16]);
  });

  test("token by token is the rotation of the whole, also in rows with positions of their own", async () => {
    const rotary = new RotaryPositions({ headDim: 6, maxLength: 12, scaling: { type: "yarn", factor: 4, originalMaxLength: 4 } });
    const x = normal("tokens", 2, 2, 5, 6);
    const rows = tensor(Int32Array.of(0, 1, 2, 3, 4, 0, 0, 0, 1, 2), { shape: [2, 5] });
    const whole = rotary.forward(x, rows);
    const steps = [0, 1, 2, 3, 4].map((i) => rotary.forward(x.slice(2, i, i + 1), rows.slice(1, i, i + 1), i + 1));
    await expect(Tensor.concat(steps, 2)).toBeCloseToTensor(whole, { atol: 0, rtol: 0 });
  });

  test("with yarn multiplies scores by the attention factor squared", async () => {
    const scaling = { type: "yarn", factor: 16, originalMaxLength: 32 } as const;
    const x = normal("yarn", 1, 1, 3, 8);
    const turned = new RotaryPositions({ headDim: 8, maxLength: 512, scaling }).forward(x, at(0, 100, 511));
    const factor = 0.1 * Math.log(16) + 1;
    await expect(turned.square().sum(-1)).toBeCloseToTensor(
      x
        .square()
        .sum(-1)
        .mul(factor * factor),
    );
  });
});

describe("tables", () => {
  test("are exact in f32 up to the last position", async () => {
    const rotary = new RotaryPositions({ headDim: 4, maxLength: 70_000, base: 500_000 });
    const { cos, sin } = rotary.prepare(0);
    const [cosines, sines] = [await cos.data(), await sin.data()];
    const angle = 69_999 * ropeFrequencies(4, 500_000, { type: "default" }, 0).frequencies[1]!;
    expect([cosines.at(-1), sines.at(-1)]).toEqual([Math.fround(Math.cos(angle)), Math.fround(Math.sin(angle))]);
    expect([cosines.at(-2), sines.at(-2)]).toEqual([Math.fround(Math.cos(69_999)), Math.fround(Math.sin(69_999))]);
  });

  test("are no parameters and no state", () => {
    expect(new RotaryPositions({ headDim: 4, maxLength: 4 }).parameters()).toEqual([]);
  });

  test("refuse what lies beyond them, by the input's length or the total", () => {
    const rotary = new RotaryPositions({ headDim: 4, maxLength: 8 });
    const x = zeros([1, 1, 2, 4]);
    rotary.forward(x, at(6, 7), 8);
    expect(() => rotary.forward(x, at(7, 8), 9)).toThrow(
      "RotaryPositions: 9 positions, but the table has 8. Shorten the input, or make the layer with a larger maxLength.",
    );
    expect(() => rotary.forward(zeros([1, 1, 9, 4]), arange(9), 2)).toThrow("9 positions");
  });
});

describe("dynamic scaling", () => {
  const make = (maxLength = 8) =>
    new RotaryPositions({ headDim: 8, maxLength, base: 10_000, scaling: { type: "dynamic", factor: 2, originalMaxLength: 8 } });
  const x = () => normal("dynamic", 1, 1, 4, 8);
  /** The rotation by the frequencies that the formula gives for a length. */
  const expected = (length: number, positions: Tensor) => {
    const { frequencies } = ropeFrequencies(8, 10_000, { type: "dynamic", factor: 2, originalMaxLength: 8 }, length);
    const base = frequencies[1]! ** -4;
    return new RotaryPositions({ headDim: 8, maxLength: 64, base }).forward(x(), positions);
  };

  test("goes by the length of the call: growing, shrinking, and growing again", async () => {
    const rotary = make();
    for (const length of [4, 8, 9, 20, 33, 4, 20, 64, 9]) {
      const positions = at(0, 1, 2, length - 1);
      await expect(rotary.forward(x(), positions, length)).toBeCloseToTensor(expected(length, positions), { atol: 1e-5 });
    }
  });

  test("rewrites its tables where they have room, so that steps which captured them see it, and memory stays the same", async () => {
    const rotary = make(32);
    const { cos } = rotary.prepare(4);
    let total = 4;
    const step = compile<{ q: Tensor; positions: Tensor }, Tensor>(({ q, positions }) => rotary.forward(q, positions, total));
    for (const length of [4, 9, 32, 10, 4]) {
      total = length;
      expect(rotary.prepare(length).cos).toBe(cos);
      const positions = at(0, 1, 2, length - 1);
      await expect(step({ q: x(), positions })).toBeCloseToTensor(expected(length, positions), { atol: 1e-5 });
    }
  });

  test("inside a compiled step asks for prepare, and forgets nothing", async () => {
    const rotary = make(32);
    const step = compile<{ q: Tensor }, Tensor>(({ q }) => rotary.forward(q, arange(4), 9));
    expect(() => step({ q: x() })).toThrow("RotaryPositions: a length of 9 needs other tables. Call prepare(9) before the compiled step.");
    rotary.prepare(9);
    await expect(step({ q: x() })).toBeCloseToTensor(expected(9, arange(4)), { atol: 1e-5 });
  });

  test("gives grown tables room to grow on, and the old memory back", () => {
    const device = reference();
    setDefaultDevice(device);
    const before = device.memory().live;
    const rotary = make();
    const live = () => device.memory().live - before;
    const small = live();
    rotary.prepare(9);
    expect(live()).toBe(2 * small);
    for (let length = 10; length <= 16; length++) rotary.prepare(length);
    expect(live()).toBe(2 * small);
  });
});

test("options are checked", () => {
  const make = (options: object) => () => new RotaryPositions({ headDim: 8, maxLength: 4, ...options });
  expect(make({ headDim: 0 })).toThrow("RotaryPositions: headDim must be a positive integer, got 0.");
  expect(make({ maxLength: 2.5 })).toThrow("RotaryPositions: maxLength must be a positive integer, got 2.5.");
  expect(make({ rotaryDim: 10 })).toThrow("RotaryPositions: rotaryDim 10 exceeds headDim 8.");
  expect(make({ rotaryDim: 3 })).toThrow("must be even");
  expect(make({ headDim: 7 })).toThrow("must be even");
  expect(make({ pairs: "half" })).toThrow('RotaryPositions: pairs must be one of halves, interleaved, got "half".');
  expect(() => make({})().forward(zeros([1, 1, 2, 16]), arange(2))).toThrow("x must be [batch, heads, length, 8], got [1, 1, 2, 16].");
  expect(() => make({})().forward(zeros([1, 2, 8]), arange(2))).toThrow("x must be [batch, heads, length, 8], got [1, 2, 8].");
  expect(() => make({})().forward(zeros([1, 1, 2, 8]), arange(3))).toThrow("RotaryPositions: rope: positions must be [2] or [1, 2]");
});
