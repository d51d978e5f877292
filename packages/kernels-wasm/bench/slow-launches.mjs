/**
 * Starts many processes that each multiply 1024 x 1024 matrices for a while, and tells how many of them ran slow: a kernel was seen to drop to 40 %
 * of its speed for the rest of a process on Node 24. `node bench/slow-launches.mjs [processes]`, with the Node to look at. No test.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const [mode, count = "30"] = process.argv[2] === "child" ? ["child"] : ["parent", process.argv[2]];

if (mode === "child") {
  const { setFlagsFromString } = await import("node:v8");
  if (process.argv[3] === "no-liftoff") setFlagsFromString("--no-liftoff");
  const { Runtime } = await import("../src/runtime.ts");
  // Several modules, of which each has run: the drop was seen more often with many alive.
  const others = Array.from({ length: 8 }, () => new Runtime({ threads: 1 }));
  const runtime = new Runtime({ threads: 1 });
  const size = 1024;
  const [a, b, c] = [0, 1, 2].map(() => runtime.heap.allocate(4 * size * size));
  const words = { c, a, b, inner: 1, m: size, n: size, k: size, mTile: 96, nTile: 256, packed: 0, activation: 0, alpha: 1, beta: 0 };
  const strides = {
    aRow: size,
    aCol: 1,
    aOuter: 0,
    aInner: 0,
    bRow: size,
    bCol: 1,
    bOuter: 0,
    bInner: 0,
    cRow: size,
    cOuter: 0,
    cInner: 0,
  };
  for (const other of others) {
    const [x, y] = [other.heap.allocate(2 ** 16), other.heap.allocate(2 ** 16)];
    for (let i = 0; i < 100; i++) other.run("softmax", { y, x, n: 128, log: 0 }, 128);
  }
  const rates = [];
  for (let i = 0; i < 40; i++) {
    const start = process.cpuUsage(); // of the processor, so that other programs count little
    runtime.run("gemm", { ...words, ...strides }, 11 * 4);
    rates.push((2 * size ** 3) / process.cpuUsage(start).user / 1e3);
  }
  // The best of the first half and of the second: a drop that lasts shows.
  console.log(JSON.stringify([Math.max(...rates.slice(0, 20)), Math.max(...rates.slice(20))]));
} else {
  const flags = ["--conditions=@x/source", "--import", "tsx", fileURLToPath(import.meta.url), "child"];
  const results = { default: [], "no-liftoff": [] };
  for (let i = 0; i < Number(count); i++)
    for (const variant of Object.keys(results)) {
      const { stdout, stderr } = spawnSync(process.execPath, [...flags, variant], { encoding: "utf8" });
      if (!stdout) throw new Error(stderr);
      results[variant].push(JSON.parse(stdout));
    }
  const fastest = Math.max(...Object.values(results).flat(2));
  for (const [variant, pairs] of Object.entries(results)) {
    const slow = pairs.filter((pair) => pair[1] < 0.6 * fastest);
    const show = (pair) => pair.map((rate) => rate.toFixed(1)).join(" then ");
    console.log(
      `${process.version} ${variant}: ${slow.length} of ${pairs.length} end below 60 % of ${fastest.toFixed(1)} GFLOP/s; lowest ${show(pairs.toSorted((p, q) => p[1] - q[1])[0])}`,
    );
  }
}
