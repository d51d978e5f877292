import { adamw, attention } from "@x/ops";
import {
  type Device,
  Parameter,
  reference,
  State,
  scope,
  setDefaultDevice,
  type Tensor,
  tensor,
  valueAndGrad,
  withDevice,
} from "@x/tensor";
import { type WasmOptions, wasm } from "../src/index.ts";

/** What the page found, for the test outside. */
export interface PageResult {
  readonly threads: unknown;
  readonly shared: unknown;
  readonly matmul: number;
  readonly attention: number;
  /** Losses of a few training steps, on wasm and on the reference. */
  readonly losses: readonly number[];
  readonly expected: readonly number[];
}

const wave = (length: number, step: number): number[] => Array.from({ length }, (_, i) => Math.sin(i * step) * 0.5);

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/** The same computation on both devices; the largest difference. */
async function compare(devices: readonly [Device, Device], build: () => Tensor): Promise<number> {
  const [a, b] = await Promise.all(devices.map((device) => withDevice(device, () => scope(build)).data()));
  return worst(a!, b!);
}

async function train(device: Device): Promise<number[]> {
  setDefaultDevice(device);
  const weight = new Parameter({ shape: [16, 8], data: wave(128, 0.7) });
  const [m, v] = [new State({ shape: [16, 8] }), new State({ shape: [16, 8] })];
  const losses: number[] = [];
  for (let step = 1; step <= 4; step++) {
    const loss = scope(() => {
      const [x, target] = [tensor(wave(32 * 8, 0.31), { shape: [32, 8] }), tensor(wave(32 * 16, 0.17), { shape: [32, 16] })];
      const { value, gradients } = valueAndGrad(() => x.matmul(weight.value.transpose()).tanh().sub(target).square().mean(), weight);
      const next = adamw({ param: weight, grad: gradients, m, v, lr: 0.01, step });
      weight.set(next.param);
      m.set(next.m);
      v.set(next.v);
      return value;
    });
    losses.push(await loss.item());
  }
  return losses;
}

export async function check(options: WasmOptions): Promise<PageResult> {
  const device = await wasm(options);
  const oracle = reference();
  const devices = [device, oracle] as const;
  const product = () => tensor(wave(130 * 70, 0.13), { shape: [130, 70] }).matmul(tensor(wave(70 * 90, 0.29), { shape: [70, 90] }));
  const head = (step: number) => tensor(wave(2 * 3 * 50 * 16, step), { shape: [2, 3, 50, 16] });
  const attend = () => attention({ q: head(0.11), k: head(0.23), v: head(0.37) }, { scale: 0.25, causal: true });
  const result = {
    ...{ threads: device.driver.caps.threads, shared: device.driver.caps.shared },
    ...{ matmul: await compare(devices, product), attention: await compare(devices, attend) },
    ...{ losses: await train(device), expected: await train(oracle) },
  };
  device.close();
  return result;
}

(globalThis as unknown as { check: typeof check }).check = check;
