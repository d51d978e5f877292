/** Raw GEMM speed: `tsx bench/gemm.ts [threads]`. Prints the best GFLOP/s of many rounds; no test. */
import { Runtime } from "../src/runtime.ts";

const shapes = [
  [1024, 1024, 1024],
  [256, 3072, 768],
  [256, 768, 3072],
  [768, 512, 128],
  [768, 128, 512],
  [768, 384, 128],
  [64, 64, 32],
] as const;

function time(run: () => void, flops: number): string {
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + 1200;
  for (let round = 0; round < 8 || performance.now() < end; round++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return (flops / best / 1e6).toFixed(1).padStart(7);
}

for (const threads of process.argv[2] ? [Number(process.argv[2])] : [1, 2]) {
  const runtime = new Runtime({ threads });
  const { heap } = runtime;
  await new Promise((resolve) => setTimeout(resolve, 200));
  console.log(
    `${runtime.build}, ${threads} thread(s), workers ready: ${runtime.threads.started.workers}; GFLOP/s packed / unpacked / A^T packed`,
  );
  for (const [m, n, k] of shapes) {
    const a = heap.allocate(4 * m * k);
    const b = heap.allocate(4 * k * n);
    const c = heap.allocate(4 * m * n);
    const packed = heap.allocate(4 * k * Math.ceil(n / 8) * 8);
    for (const [at, count] of [
      [a, m * k],
      [b, n * k],
    ] as const)
      heap.f32(at, count).forEach((_, i, view) => {
        view[i] = Math.sin(i);
      });
    runtime.run("pack_b", { packed, b, inner: 1, n, k, bRow: n, bCol: 1, bOuter: 0, bInner: 0 }, Math.ceil(n / 8));
    const mTile = Math.min(96, m);
    const nTile = n >= 512 ? 256 : Math.min(128, n);
    const gemm = (isPacked: boolean, transposed: boolean) =>
      runtime.run(
        "gemm",
        {
          ...{
            c,
            a,
            b: isPacked ? packed : b,
            inner: 1,
            m,
            n,
            k,
            mTile,
            nTile,
            packed: isPacked ? 1 : 0,
            activation: 0,
            alpha: 1,
            beta: 0,
          },
          ...{ aRow: transposed ? 1 : k, aCol: transposed ? m : 1, aOuter: 0, aInner: 0, bRow: n, bCol: 1, bOuter: 0, bInner: 0 },
          ...{ cRow: n, cOuter: 0, cInner: 0 },
        },
        Math.ceil(m / mTile) * Math.ceil(n / nTile),
      );
    const flops = 2 * m * n * k;
    console.log(
      `${m}x${n}x${k}`.padEnd(16),
      time(() => gemm(true, false), flops),
      time(() => gemm(false, false), flops),
      time(() => gemm(true, true), flops),
    );
  }
  runtime.close();
}
