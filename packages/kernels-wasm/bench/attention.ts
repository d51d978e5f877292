/** Raw attention speed: `tsx bench/attention.ts [threads]`. Prints the best GFLOP/s of forward and backward; no test. */
import { Runtime } from "../src/runtime.ts";

const shapes = [
  { batch: 12, heads: 4, rows: 64, dim: 32, tile: 72 },
  { batch: 1, heads: 12, rows: 256, dim: 64, tile: 96 },
  { batch: 1, heads: 12, rows: 1024, dim: 64, tile: 96 },
];

function time(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + 1000;
  for (let round = 0; round < 8 || performance.now() < end; round++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

for (const threads of process.argv[2] ? [Number(process.argv[2])] : [1, 2]) {
  const runtime = new Runtime({ threads });
  const { heap } = runtime;
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (const { batch, heads, rows, dim, tile } of shapes)
    for (const causal of [0, 1]) {
      const total = batch * heads * rows;
      const fresh = (length: number) => {
        const address = heap.allocate(4 * length);
        heap.f32(address, length).forEach((_, i, view) => {
          view[i] = Math.sin(i);
        });
        return address;
      };
      const [q, k, v, o, grad, dq, dk, dv] = Array.from({ length: 8 }, () => fresh(total * dim)) as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const [lse, delta] = [fresh(total), fresh(total)];
      const strides = {
        qBatch: heads * rows * dim,
        qHead: rows * dim,
        qRow: dim,
        kBatch: heads * rows * dim,
        kHead: rows * dim,
        kRow: dim,
      };
      const shared = {
        q,
        k,
        v,
        heads,
        kvHeads: heads,
        queries: rows,
        keys: rows,
        dim,
        valueDim: dim,
        causal,
        scale: dim ** -0.5,
        ...strides,
      };
      const all = { ...shared, vBatch: heads * rows * dim, vHead: rows * dim, vRow: dim };
      const units = batch * heads * Math.ceil(rows / tile);
      const forward = time(() => runtime.run("attention", { ...all, o, lse, qTile: tile }, units));
      const parts = { parts: 1, partSize: total * dim };
      const backward = time(() =>
        runtime.run("attention_grad", { ...all, dq, dk, dv, grad, lse, delta, kTile: tile, ...parts }, batch * heads),
      );
      const product = 2 * total * rows * dim * (causal ? 0.5 : 1);
      const rate = (ms: number, products: number) => `${ms.toFixed(3)} ms ${((product * products) / ms / 1e6).toFixed(1)} GF`.padStart(20);
      console.log(
        `${threads}T [${batch},${heads},${rows},${dim}]${causal ? " causal" : ""}`.padEnd(26),
        rate(forward, 2),
        rate(backward, 5),
      );
    }
  runtime.close();
}
