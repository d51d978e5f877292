import { beforeEach, expect, test } from "vitest";
import {
  checkpointed,
  compile,
  currentGenerator,
  type Device,
  grad,
  Parameter,
  reference,
  State,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const weights = () =>
  [0, 1, 2].map((layer) => new Parameter({ shape: [4, 4], data: Array.from({ length: 16 }, (_, i) => Math.sin(i + layer)) }));
const block = (w: Parameter) => (x: Tensor) => x.matmul(w.value).tanh().add(x);
const plain = <R>(fn: () => R): R => fn();

/** A deep loss whose blocks run as `wrap` says, with what was live at the most before the backward pass. */
function loss(parameters: readonly Parameter[], x: Tensor, wrap: typeof plain, peak = { buffers: 0 }) {
  const out = parameters.reduce((h, w) => wrap(() => block(w)(block(w)(h))), x);
  peak.buffers = device.memory().buffers;
  return out.square().sum();
}

test("gradients are the same, bit for bit, for parameters in closures and for inputs", async () => {
  const parameters = weights();
  const x = tensor([[0.1, -0.2, 0.3, 0.4]]);
  const wrt = { x, a: parameters[0]!, b: parameters[1]!, c: parameters[2]! };
  const a = grad(() => loss(parameters, x, plain), wrt);
  const b = grad(() => loss(parameters, x, checkpointed), wrt);
  for (const name of ["x", "a", "b", "c"] as const) expect(await b[name].data()).toEqual(await a[name].data());
});

test("fewer bytes are held until the backward pass", () => {
  const parameters = weights();
  const x = tensor([[0.1, -0.2, 0.3, 0.4]]);
  const [without, within] = [{ buffers: 0 }, { buffers: 0 }];
  grad(() => loss(parameters, x, plain, without), parameters);
  grad(() => loss(parameters, x, checkpointed, within), parameters);
  expect(within.buffers).toBeLessThan(without.buffers);
});

test("draws are replayed, and the stream goes on as without", async () => {
  const x = tensor([1, 2, 3, 4, 5, 6, 7, 8]);
  const dropped = () => currentGenerator("test").uniform([8]).lt(0.5).where(x.square(), 0);
  const run = async (wrap: typeof plain) => {
    const g = device.generator.step(() => grad(() => wrap(dropped).add(wrap(dropped)).sum(), x));
    return [...(await g.data())];
  };
  expect(await run(checkpointed)).toEqual(await run(plain));
});

test("cell writes are done once", async () => {
  const [x, count] = [tensor([2]), new State({ shape: [1] })];
  const g = grad(
    () =>
      checkpointed(() => {
        count.set(count.value.add(1));
        return x.square();
      }).sum(),
    x,
  );
  expect([await g.array(), [...(await count.data())]]).toEqual([[4], [1]]);
});

test("second derivatives pass through it", async () => {
  const x = tensor([1, 2]);
  const second = grad(
    () =>
      grad(() => checkpointed(() => x.pow(3)).sum(), x)
        .square()
        .sum(),
    x,
  );
  // d/dx (3 x^2)^2 = 36 x^3
  expect((await second.array()) as number[]).toEqual([expect.closeTo(36, 3), expect.closeTo(288, 2)]);
});

test("several results, records, and results nobody uses", async () => {
  const [x, y] = [tensor([1, 2]), tensor([3, 4])];
  const body = (wrap: typeof plain) => () => {
    const { a, rest } = wrap(() => ({ a: x.mul(y), rest: [x.exp(), y.square()] }));
    return a.add(rest[1]!).sum();
  };
  const expected = grad(body(plain), { x, y });
  const found = grad(body(checkpointed), { x, y });
  expect([await found.x.array(), await found.y.array()]).toEqual([await expected.x.array(), await expected.y.array()]);
});

test("inside a compiled step", async () => {
  const parameters = weights();
  const make = (wrap: typeof plain) => compile<{ x: Tensor }, Tensor>(({ x }) => grad(() => loss(parameters, x, wrap), parameters[0]!));
  const x = tensor([[0.5, 0.1, -0.2, 0.3]]);
  expect(await make(checkpointed)({ x }).data()).toEqual(await make(plain)({ x }).data());
});

test("what it reads may be freed by the scope that made it, nested and masked: a layer of a model", async () => {
  const [a, b, c] = weights() as [Parameter, Parameter, Parameter];
  const x = tensor([[0.1, -0.2, 0.3, 0.4]]);
  const twos = tensor([[2, 2, 2, 2]]);
  const layer = (wrap: typeof plain) => () =>
    scope(() => {
      const h = x.matmul(a.value);
      const mask = x.gt(0).where(twos, 1);
      return wrap(() => {
        const inner = h.matmul(b.value).mul(mask).tanh();
        return wrap(() => inner.matmul(c.value).mul(mask).add(h));
      });
    });
  const before = device.memory().buffers;
  for (const order of ["first", "second"]) {
    const of = (wrap: typeof plain) => {
      const first = () => grad(() => layer(wrap)().square().sum(), [a, b, c]);
      return order === "first" ? first() : grad(() => first().reduce((sum, g) => sum.add(g.square().sum()), tensor(0)), [a, b, c]);
    };
    const [expected, got] = [of(plain), of(checkpointed)];
    for (const i of [0, 1, 2]) {
      const wanted = Array.from(await expected[i]!.data());
      // Second derivatives are the same sums in another order.
      for (const [k, value] of (await got[i]!.data()).entries())
        expect(Math.abs(value - wanted[k]!)).toBeLessThan(order === "first" ? 1e-12 : 1e-5 * 30);
    }
    for (const each of [...expected, ...got]) each.dispose();
  }
  expect(device.memory().buffers).toBe(before);
  const step = compile<Record<string, never>, Tensor>(() => grad(() => layer(checkpointed)().square().sum(), a), { device });
  expect(await step({}).data()).toEqual(await grad(() => layer(plain)().square().sum(), a).data());
});

test("a freed tensor stays refused everywhere else", () => {
  const [a] = weights() as [Parameter];
  const x = tensor([[0.1, -0.2, 0.3, 0.4]]);
  let kept: Tensor | undefined;
  grad(() => {
    const h = scope(() => {
      kept = x.matmul(a.value);
      return checkpointed(() => kept!.tanh());
    });
    expect(() => kept!.add(1)).toThrow(/used after it was freed/);
    return h.sum();
  }, a);
});

test("a body that reads a cell after writing it is refused", () => {
  const [x, cell] = [tensor([2]), new State({ shape: [1], data: [1] })];
  const body = () => {
    cell.set(cell.value.add(1));
    return x.mul(cell.value);
  };
  expect(() => grad(() => checkpointed(body).sum(), x)).toThrow(/checkpointed/);
});
