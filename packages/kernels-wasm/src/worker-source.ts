/**
 * What a worker runs, as text so that no bundler and no packing has a second file to find. It waits for launches (a bounded spin, then
 * asleep on the epoch), joins one if it is still open, claims ranges of units until none is left, and leaves. Code that was added since
 * the last launch lies in the shared memory; the worker compiles it when it meets a kernel number it does not know.
 */
const body = `
function run({ memory, module, address, words, layout: at, errorBytes, stackTop, spinMicroseconds }) {
  const c = new Int32Array(memory.buffer, address, words);
  const kernels = [], stacks = [];
  let record = 0;
  const add = (module) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    for (const name in exports) {
      if (typeof exports[name] === "function") kernels.push(exports[name]);
      else if (name === "__stack_pointer") stacks.push(exports[name]);
    }
    if (exports.__stack_pointer) exports.__stack_pointer.value = stackTop | 0;
  };
  const view = (from, bytes) => {
    if (from + bytes > memory.buffer.byteLength) memory.grow(0);
    return new Uint8Array(memory.buffer, from, bytes);
  };
  const fetchCode = () => {
    const link = () => (record === 0 ? Atomics.load(c, at.modules) : new Int32Array(view(record, 8).buffer, record, 2)[0]) >>> 0;
    for (let next = link(); next !== 0; next = link()) {
      record = next;
      const bytes = new Int32Array(view(record, 8).buffer, record, 2)[1];
      add(new WebAssembly.Module(view(record + 8, bytes).slice()));
    }
  };
  const report = (error) => {
    Atomics.store(c, at.next, c[at.units]);
    for (const stack of stacks) stack.value = stackTop | 0;
    const text = new TextEncoder().encode(String((error && error.message) || error)).subarray(0, errorBytes);
    new Uint8Array(c.buffer, address + 4 * at.errorText, text.length).set(text);
    Atomics.store(c, at.errorLength, text.length || 1);
  };
  const work = () => {
    try {
      const index = c[at.kernel], args = c[at.args], units = c[at.units], grain = c[at.grain];
      if (index >= kernels.length) fetchCode();
      const kernel = kernels[index];
      for (let begin = Atomics.add(c, at.next, grain); begin < units; begin = Atomics.add(c, at.next, grain)) {
        kernel(begin, Math.min(begin + grain, units), args);
      }
    } catch (error) {
      report(error);
    }
  };
  const idle = (seen) => {
    const end = performance.now() + spinMicroseconds / 1000;
    do {
      for (let i = 0; i < 200; i++) if (Atomics.load(c, at.epoch) !== seen) return;
    } while (performance.now() < end);
    Atomics.add(c, at.sleepers, 1);
    Atomics.wait(c, at.epoch, seen);
    Atomics.sub(c, at.sleepers, 1);
  };
  add(module);
  Atomics.add(c, at.ready, 1);
  Atomics.notify(c, at.ready);
  for (let seen = -1; Atomics.load(c, at.quit) === 0; idle(seen)) {
    seen = Atomics.load(c, at.epoch);
    Atomics.add(c, at.active, 1);
    if (Atomics.load(c, at.open) === 1) work();
    Atomics.sub(c, at.active, 1);
    if (Atomics.load(c, at.joining) === 1) Atomics.notify(c, at.active);
  }
}
`;

/** For Node's worker_threads, started with `eval`. */
export const nodeWorkerSource = `${body}run(require("node:worker_threads").workerData);`;
/** For a browser's Worker, which gets what it starts with as its first message. */
export const browserWorkerSource = `${body}onmessage = (event) => run(event.data);`;
