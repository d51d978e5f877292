import { adamw } from "@x/ops";
import { compile, matmul, Parameter, State, scope, setDefaultDevice, type Tensor, withDevice } from "@x/tensor";
import { expect, test } from "vitest";
import { figuresOf } from "../src/index.ts";
import { onAdapter } from "./adapter.ts";

const wave = (size: number, step: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i * step));

for (const software of [true, false])
  await onAdapter(
    (device) => {
      const dispatchesOf = async (run: () => Promise<unknown>) => {
        const before = figuresOf(device).dispatches;
        await run();
        return figuresOf(device).dispatches - before;
      };

      test(`products of one input are one launch, with ${software ? "registers" : "workgroup memory"}`, async () => {
        setDefaultDevice(device);
        const weights = [3, 4, 5].map((n, i) => new Parameter({ shape: [40, 8 * n], data: wave(320 * n, 0.3 + i) }));
        const project = (x: Tensor) => weights.map((w) => matmul({ a: x, b: w }));
        const step = compile(({ x }: { x: Tensor }) => project(x), { device });
        const x = { data: wave(400, 0.7), shape: [10, 40] };
        step({ x });
        expect(await dispatchesOf(async () => step({ x }))).toBe(1);
        const made = step({ x });
        const eager = withDevice(device, () => scope(() => project(new Parameter({ shape: [10, 40], data: x.data, device }).value)));
        for (const [i, y] of made.entries()) expect(await y.data()).toEqual(await eager[i]!.data());
        step.release();
      });

      test(`updates of many parameters are few launches; ones that depend on each other stay apart (${software})`, async () => {
        setDefaultDevice(device);
        const make = () => {
          const sizes = Array.from({ length: 12 }, (_, i) => 5 + 37 * i);
          return sizes.map((n, i) => ({
            param: new Parameter({ shape: [n], data: wave(n, 0.1 + i) }),
            m: new State({ shape: [n] }),
            v: new State({ shape: [n] }),
          }));
        };
        const update = (cells: ReturnType<typeof make>, x: Tensor) => {
          for (const { param, m, v } of [...cells, ...cells.slice(0, 2)]) {
            const made = adamw({ param, grad: param.value.mul(x), m, v, lr: x, step: x });
            param.set(made.param);
            m.set(made.m);
            v.set(made.v);
          }
        };
        const [a, b] = [make(), make()];
        const compiled = compile(({ x }: { x: Tensor }) => update(a, x), { device });
        const eager = compile(({ x }: { x: Tensor }) => update(b, x), { device, eager: true });
        const x = { data: new Float32Array([0.5]), shape: [] };
        const count = await dispatchesOf(async () => compiled({ x }));
        // 14 gradients and 14 updates, of which two wait for others.
        expect(count).toBeLessThanOrEqual(14);
        eager({ x });
        for (const [i, { param }] of a.entries()) expect(await param.value.data()).toEqual(await b[i]!.param.value.data());
        compiled.release();
      });
    },
    "swiftshader",
    { caps: { software } },
  );
