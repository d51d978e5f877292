import { beforeEach, describe, expect, test } from "vitest";
import {
  compile,
  type Device,
  Parameter,
  reference,
  State,
  type Step,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../src/index.ts";

let device: Device;
beforeEach(() => {
  device = reference();
  setDefaultDevice(device);
});
const numbers = async (t: Tensor) => [...(await t.data())];

type Batch = { readonly x: Tensor; readonly lr: Tensor; readonly bad: Tensor };
type Phase = { readonly apply: boolean };

/** A small training step with all that varies: rate, dropout, accumulation by statics, a step skipped on the device, momentum. */
function training(eager: boolean) {
  const mine = reference({ seed: 11 });
  const w = new Parameter({ shape: [3, 2], data: [0.1, -0.2, 0.3, 0.4, -0.5, 0.6], device: mine });
  const [sum, momentum] = [new State({ shape: [3, 2], device: mine }), new State({ shape: [3, 2], device: mine })];
  const step = compile<Batch, { loss: Tensor }, Phase>(
    ({ x, lr, bad }, { apply }) => {
      const { value, gradients } = valueAndGrad(() => {
        const kept = mine.generator.uniform(x.shape).lt(0.8).where(x.div(0.8), 0);
        return kept.matmul(w.value).tanh().sub(0.3).square().mean();
      }, w);
      sum.set(sum.value.add(gradients));
      if (apply) {
        const skip = bad.ne(0);
        momentum.set(skip.where(momentum.value, momentum.value.mul(0.9).add(sum.value)));
        w.set(skip.where(w.value, w.value.sub(momentum.value.mul(lr))));
        sum.set(sum.value.zerosLike());
      }
      return { loss: value };
    },
    { device: mine, eager },
  );
  return { mine, w, momentum, step };
}

test("equals eager, bit for bit, over 30 steps with varying rate, dropout, accumulation and a skipped step", async () => {
  const [a, b] = [training(false), training(true)];
  for (let i = 0; i < 30; i++) {
    const batch = {
      x: { data: Float32Array.from({ length: 12 }, (_, j) => Math.sin(i * 12 + j)), shape: [4, 3] },
      lr: 0.3 / (1 + i),
      bad: i === 17 ? 1 : 0,
    };
    const before = await numbers(a.w.snapshot());
    const phase = { apply: i % 3 === 2 || i === 17 };
    const [p, q] = [a.step(batch, phase), b.step(batch, phase)];
    expect(await p.loss.data()).toEqual(await q.loss.data());
    expect(await a.w.data()).toEqual(await b.w.data());
    const moved = String(await numbers(a.w.snapshot())) !== String(before);
    expect(moved).toBe(phase.apply && i !== 17);
  }
  expect(await a.momentum.data()).toEqual(await b.momentum.data());
  expect((await a.mine.generator.state()).key).toEqual((await b.mine.generator.state()).key);
  expect(a.step.plans()).toHaveLength(2);
});

describe("the audit finds what would be baked in", () => {
  const calls = (step: Step<{ x: number }, Record<string, never>, Tensor>, times = 3) => {
    for (let i = 0; i < times; i++) scope(() => void step({ x: 1 }));
  };
  test("a number from a closure, with both values", () => {
    let rate = 0.5;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(rate), { name: "train" });
    calls(step, 1);
    rate = 0.25;
    expect(() => calls(step, 1)).toThrow(
      /train: call 2 does something else than what was recorded, at launch 0:[\s\S]*0\.5[\s\S]*0\.25[\s\S]*argument, a cell or a static/,
    );
  });
  test("Math.random, and a replaced tensor", () => {
    expect(() => calls(compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(Math.random())))).toThrow(/call 2/);
    let table = tensor([1, 2]);
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(table));
    calls(step, 1);
    table = tensor([1, 2]);
    expect(() => calls(step)).toThrow(/call 2/);
  });
  test("another branch, at every call under strict", () => {
    let branch = false;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => (branch ? x.exp() : x.sin()));
    calls(step, 3);
    branch = true;
    calls(step, 4);
    device.strict = true;
    expect(() => calls(step)).toThrow(/call 8/);
  });
  test("a body that does the same passes all audits", () =>
    expect(() =>
      calls(
        compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(3)),
        35,
      ),
    ).not.toThrow());
});

describe("plans", () => {
  test("one for each combination of shapes and statics, at most 8, the least recently used goes", async () => {
    const step = compile<{ x: Tensor }, Tensor, { scale: number }>(({ x }, { scale }) => x.mul(scale).sum());
    const run = (n: number, scale: number) => scope(() => step({ x: tensor(new Float32Array(n).fill(1)) }, { scale }).copy());
    expect(await run(3, 2).item()).toBe(6);
    expect(await run(5, 2).item()).toBe(10);
    expect(await run(5, 4).item()).toBe(20);
    expect(step.plans()).toHaveLength(3);
    for (let n = 10; n < 20; n++) run(n, 1).dispose();
    expect(step.plans()).toHaveLength(8);
    expect(await run(3, 2).item()).toBe(6);
    expect(
      step
        .plans()
        .map(({ key }) => key)
        .join(),
    ).not.toContain("[10]");
    const before = device.memory().buffers;
    for (let n = 20; n < 60; n++) run(n, 1).dispose();
    expect(device.memory().buffers).toBeLessThanOrEqual(before + 8);
    step.release();
  });

  test("a new kernel table makes a new plan", async () => {
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(2).sum());
    expect(await step({ x: 1 }).item()).toBe(2);
    device.use([]);
    expect(await step({ x: 2 }).item()).toBe(4);
    expect(step.plans()).toHaveLength(1);
  });

  test("prepare compiles and runs nothing", async () => {
    const cell = new State({ shape: [1] });
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => {
      cell.set(cell.value.add(x));
      return cell.value.mul(1);
    });
    const { launches } = device.figures;
    await step.prepare({ x: 5 });
    expect([step.plans().length, device.figures.launches, ...(await cell.data())]).toEqual([1, launches, 0]);
    expect(await numbers(step({ x: 5 }))).toEqual([5]);
  });

  test("an eager step has nothing to prepare", async () => {
    let bodies = 0;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(++bodies), { eager: true });
    await step.prepare({ x: 5 });
    expect([bodies, step.plans().length]).toEqual([0, 0]);
  });

  test("nothing is made while tracing: eager reads of cells stay good until the step runs", async () => {
    const cell = new State({ shape: [1], data: [1] });
    const loan = cell.value;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => {
      cell.set(cell.value.add(x));
      return x.mul(2);
    });
    await step.prepare({ x: 1 });
    expect(await numbers(loan)).toEqual([1]);
    step({ x: 1 });
    expect(() => loan.sum()).toThrow(/loan.*a compiled step/);
  });

  test("release gives all memory back", () => {
    const before = device.memory().buffers;
    const step = compile<{ x: Tensor }, { a: Tensor; b: Tensor }>(({ x }) => ({ a: x.exp().sum(), b: x.add(1).sum() }));
    scope(() => void step({ x: 1 }));
    expect(device.memory().buffers).toBeGreaterThan(before);
    step.release();
    expect(device.memory().buffers).toBe(before);
  });
});

describe("results are loans until the next call", () => {
  const double = () => compile<{ x: Tensor }, { y: Tensor }>(({ x }) => ({ y: x.mul(2) }), { name: "double" });
  test("late use names the step; a copy and a read begun before are right", async () => {
    const step = double();
    const first = step({ x: 1 }).y;
    const [copy, reading] = [first.copy(), first.data()];
    step({ x: 10 });
    expect(() => first.sum()).toThrow(/the next call of the step that returned it/);
    expect([await numbers(copy), [...(await reading)]]).toEqual([[2], [2]]);
  });
  test("a result can be an argument of the next call", async () => {
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x.mul(2));
    let x = tensor([1]);
    for (let i = 0; i < 4; i++) x = step({ x });
    expect(await numbers(x)).toEqual([16]);
  });
  test("the result's structure is kept, and what is no tensor passes through", async () => {
    const step = compile<{ x: Tensor }, { list: Tensor[]; name: string; again: Tensor }>(({ x }) => {
      const y = x.add(1);
      return { list: [y, x], name: "same", again: y };
    });
    const made = step({ x: 2 });
    expect([await made.list[0]!.item(), await made.list[1]!.item(), made.name, await made.again.item()]).toEqual([3, 2, "same", 3]);
  });
});

describe("lowering", () => {
  test("what nobody reads is not launched", () => {
    const used = compile<{ x: Tensor }, Tensor>(({ x }) => x.sum());
    const wasteful = compile<{ x: Tensor }, Tensor>(({ x }) => {
      x.exp().matmul(x.transpose()).sum();
      return x.sum();
    });
    const x = tensor([[1, 2]]);
    used({ x });
    wasteful({ x });
    expect(wasteful.plans()[0]!.launches).toBe(used.plans()[0]!.launches);
  });

  test("a cell's update goes into the cell, without a copy", async () => {
    const cell = new State({ shape: [4], data: [1, 2, 3, 4] });
    const step = compile<{ x: Tensor }, readonly Tensor[]>(({ x }) => {
      cell.set(cell.value.mul(0.5).add(x));
      return [];
    });
    step({ x: 1 });
    expect(step.plans()[0]).toMatchObject({ launches: 1, temporaryBytes: 0 });
    step({ x: 1 });
    expect([...(await cell.data())]).toEqual([1.75, 2, 2.25, 2.5]);
  });

  test("updates that read the cell elsewhere are not done in place", async () => {
    const cell = new State({ shape: [4], data: [1, 2, 3, 4] });
    const step = compile<{ x: Tensor }, readonly Tensor[]>(({ x }) => {
      cell.set(cell.value.flip(0).mul(10).add(cell.value).add(x));
      return [];
    });
    step({ x: 0 });
    expect([...(await cell.data())]).toEqual([41, 32, 23, 14]);
  });

  test("two cells swap, and a cell written twice ends with the last", async () => {
    const [a, b] = [new State({ shape: [2], data: [1, 2] }), new State({ shape: [2], data: [3, 4] })];
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => {
      const kept = a.snapshot();
      a.set(b);
      b.set(kept);
      const seen = b.value.add(x);
      b.set(seen.mul(10));
      return seen;
    });
    expect(await numbers(step({ x: 1 }))).toEqual([2, 3]);
    expect([[...(await a.data())], [...(await b.data())]]).toEqual([
      [3, 4],
      [20, 30],
    ]);
    expect(await numbers(step({ x: 1 }))).toEqual([4, 5]);
    expect([[...(await a.data())], [...(await b.data())]]).toEqual([
      [20, 30],
      [40, 50],
    ]);
  });

  test("a pending read before the write keeps the old value", async () => {
    const cell = new State({ shape: [2], data: [1, 2] });
    const step = compile<{ x: Tensor }, { old: Tensor; now: Tensor }>(({ x }) => {
      const old = cell.value.mul(100);
      cell.set(cell.value.add(x));
      return { old, now: cell.value.mul(1) };
    });
    for (const [old, now] of [
      [
        [100, 200],
        [2, 3],
      ],
      [
        [200, 300],
        [3, 4],
      ],
    ]) {
      const made = step({ x: 1 });
      expect([await numbers(made.old), await numbers(made.now)]).toEqual([old, now]);
    }
  });

  test("temporaries share slots by liveness", () => {
    const chain = (n: number) => {
      const step = compile<{ x: Tensor }, Tensor>(({ x }) =>
        Array.from({ length: n })
          .reduce<Tensor>((y) => y.matmul(x), x)
          .sum(),
      );
      step({ x: tensor(Array.from({ length: 16 }, () => Array.from({ length: 16 }, () => 0.1))) });
      return step.plans()[0]!.temporaryBytes;
    };
    expect(chain(20)).toBe(chain(3));
  });

  test("captured tensors are pinned by the plan", async () => {
    const step = (() => {
      const table = tensor([1, 2, 3]);
      const compiled = compile<{ x: Tensor }, Tensor>(({ x }) => table.mul(x));
      compiled({ x: 1 });
      table.dispose();
      return compiled;
    })();
    // Memory that the pool would hand out again, were it not pinned.
    scope(() => void tensor([7, 7, 7]).copy());
    const { plans } = step;
    expect(plans()).toHaveLength(1);
    // The plan still runs; tracing anew would find the freed handle.
    await expect((async () => numbers(step({ x: 2 })))()).rejects.toThrow(/used after it was freed/);
  });
});

describe("errors", () => {
  test("what a body may not do", () => {
    const call = (body: (x: Tensor) => unknown) => () => compile<{ x: Tensor }, unknown>(({ x }) => body(x), { name: "body" })({ x: 1 });
    expect(call(async (x) => x)).toThrow(/body: the body returned a promise/);
    expect(call(() => new State({ shape: [1] }))).toThrow(/cell: none can be made inside a compiled step/);
    expect(call(() => tensor([1]))).toThrow(/tensor: host data inside a compiled step would be baked in/);
    const cell = new State({ shape: [1] });
    expect(call(() => cell.write([1]))).toThrow(/cell.write: host data cannot be written inside a compiled step/);
    const inner = compile<{ x: Tensor }, Tensor>(({ x }) => x);
    expect(call(() => inner({ x: 1 }))).toThrow(/called inside another/);
  });

  test("reading inside is refused", async () => {
    let reading: Promise<unknown> | undefined;
    compile<{ x: Tensor }, Tensor>(({ x }) => {
      reading = x.data();
      reading.catch(() => {});
      return x;
    })({ x: 1 });
    await expect(reading).rejects.toThrow(/nothing can be read inside a compiled step/);
  });

  test("a tensor that escaped names the way out", () => {
    let escaped: Tensor | undefined;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => {
      escaped = x.exp();
      return x;
    });
    step({ x: 1 });
    expect(() => escaped!.sum()).toThrow(/freed|Return it from the body/);
  });

  test("arguments of a wrong kind are named by path", () => {
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => x, { name: "step" });
    expect(() => step({ x: "1" } as never)).toThrow(/step\.x: expected a number, a tensor, \{ data, shape \}/);
    expect(() => step({ x: { data: [1, 2], shape: [3] } } as never)).toThrow(/step\.x: shape \[3\] holds 3 elements, got 2/);
  });

  test("a body that throws leaves the step usable and no memory behind", async () => {
    let fail = true;
    const step = compile<{ x: Tensor }, Tensor>(({ x }) => {
      if (fail) throw new Error("first");
      return x.mul(2);
    });
    const before = device.memory().buffers;
    expect(() => step({ x: 1 })).toThrow("first");
    expect(device.memory().buffers).toBe(before);
    fail = false;
    expect(await step({ x: 4 }).item()).toBe(8);
  });
});

test("a body that throws within a gradient leaves nothing pending: the next compiled step is as if it had not been", async () => {
  const device = reference();
  const weight = new Parameter({ shape: [2], data: [1, 2], device });
  const step = compile(
    ({ x, bad }: { x: Tensor; bad: Tensor }) => {
      const { gradients } = valueAndGrad(() => {
        const y = weight.value.mul(x).exp();
        return bad.shape.length === 1 ? y.add(bad.reshape([5])).sum() : y.sum();
      }, weight);
      weight.set(weight.value.sub(gradients));
    },
    { device },
  );
  const x = { data: [0, 0], shape: [2] };
  expect(() => step({ x, bad: { data: [1, 1, 1], shape: [3] } })).toThrow();
  step({ x, bad: 0 });
  expect([...(await weight.data())]).toEqual([1, 2]);
  step({ x: { data: [1, 1], shape: [2] }, bad: 0 });
  expect((await weight.data())[0]).toBeCloseTo(1 - Math.E, 5);
});
