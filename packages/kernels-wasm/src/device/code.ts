import { cacheKey, compileProgram } from "../emit/index.ts";
import { inspectModule } from "../module.ts";
import type { Runtime } from "../runtime.ts";
import type { ModuleLaunch, ProgramLaunch, WasmLaunch } from "./launch.ts";

/** Numbers of the functions that launches run; what is not built in is compiled and registered once. */
export class Code {
  readonly #runtime: Runtime;
  readonly #programs = new Map<string, number>();
  readonly #modules = new WeakMap<Uint8Array, ReadonlyMap<string, number>>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** The number of a launch's function. */
  indexOf(launch: WasmLaunch): number {
    if ("kernel" in launch) return this.#runtime.threads.kernel(launch.kernel);
    return "program" in launch ? this.#program(launch) : this.#module(launch);
  }

  #program({ program, access, extents }: ProgramLaunch): number {
    // The loader clears the shared flag where memory is not shared.
    const options = { access, rank: extents.length, shared: true, fused: this.#runtime.build === "fma" };
    const key = cacheKey(program, options);
    let index = this.#programs.get(key);
    if (index === undefined) {
      index = this.#runtime.threads.register(compileProgram(program, options).bytes, "a pointwise program");
      this.#programs.set(key, index);
    }
    return index;
  }

  #module({ module, export: name }: ModuleLaunch): number {
    let functions = this.#modules.get(module);
    if (!functions) {
      const first = this.#runtime.threads.register(module, `the module of ${name}`);
      functions = new Map(inspectModule(module, name).exports.map((entry, i) => [entry, first + i]));
      this.#modules.set(module, functions);
    }
    const index = functions.get(name);
    if (index === undefined) throw new Error(`a kernel module exports no function "${name}"; it has ${[...functions.keys()].join(", ")}.`);
    return index;
  }
}
