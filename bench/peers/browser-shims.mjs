/** A browser's `Worker`, as far as jax-js needs it, over worker threads: jax-js has threads only where this global exists. */
import { resolveObjectURL } from "node:buffer";
import { Worker as NodeWorker } from "node:worker_threads";

const prelude = `
const { parentPort } = require('node:worker_threads')
globalThis.self = globalThis
globalThis.postMessage = (message) => parentPort.postMessage(message)
parentPort.on('message', (data) => globalThis.onmessage({ data }))
`;

class Worker {
  onmessage = null;
  onerror = null;
  #node;
  #queue = [];

  constructor(url) {
    resolveObjectURL(String(url))
      .text()
      .then((source) => {
        const worker = new NodeWorker(prelude + source, { eval: true, execArgv: [] });
        worker.on("message", (data) => this.onmessage?.({ data }));
        worker.on("error", (error) => this.onerror?.(error));
        this.#node = worker;
        for (const message of this.#queue) worker.postMessage(message);
      });
  }

  postMessage(message) {
    if (this.#node) this.#node.postMessage(message);
    else this.#queue.push(message);
  }

  terminate() {
    this.#node?.terminate();
  }
}

/** Gives this process the browser globals with which jax-js runs on `threads` workers; nothing for one thread. */
export function installWorkers(threads) {
  if (threads < 2) return;
  globalThis.Worker = Worker;
  Object.defineProperty(globalThis, "navigator", {
    value: { hardwareConcurrency: threads, userAgent: "node" },
    configurable: true,
  });
}

/** jax-js uses iterator helpers (`matchAll(...).map(...)`), which Node 20 lacks: eager ones where they are missing. */
export function installIteratorHelpers() {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  for (const name of ["map", "filter", "flatMap"]) {
    if (prototype[name]) continue;
    const value = function (...args) {
      return [...this][name](...args)[Symbol.iterator]();
    };
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
  if (!prototype.toArray) {
    const value = function () {
      return [...this];
    };
    Object.defineProperty(prototype, "toArray", { value, configurable: true, writable: true });
  }
}
