import { cacheKey, compileProgram } from "../emit/index.ts";
import { inspectModule } from "../module.ts";
import type { Runtime } from "../runtime.ts";
import type { ModuleLaunch, ProgramLaunch, WasmLaunch } from "./launch.ts";
import { type WithoutLiterals, withoutLiterals } from "./literals.ts";

/** A launch with the number of its function, and the literals that stand beside its arguments, if they do. */
export interface Resolved {
  readonly index: number;
  readonly launch: WasmLaunch;
  readonly literals?: WithoutLiterals["words"];
}

/** Programs that differ in their literals alone: from so many on they share a module, so that a number that changes compiles nothing. */
const variants = 4;

/** Numbers of the functions that launches run; what is not built in is compiled and registered once. */
export class Code {
  readonly #runtime: Runtime;
  readonly #programs = new Map<string, number>();
  /** How many modules were made of each program but for its literals. */
  readonly #variants = new Map<string, number>();
  readonly #modules = new WeakMap<Uint8Array, ReadonlyMap<string, number>>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** What runs a launch. */
  resolve(launch: WasmLaunch): Resolved {
    if ("program" in launch) return this.#program(launch);
    return { launch, index: "kernel" in launch ? this.#runtime.threads.kernel(launch.kernel) : this.#module(launch) };
  }

  #program(launch: ProgramLaunch): Resolved {
    const index = this.#programs.get(this.#keyOf(launch));
    if (index !== undefined) return { launch, index };
    const general = withoutLiterals(launch);
    if (general.words.length === 0) return { launch, index: this.#compile(launch) };
    const key = this.#keyOf(general.launch);
    const count = this.#variants.get(key) ?? 0;
    this.#variants.set(key, count + 1);
    if (count < variants) return { launch, index: this.#compile(launch) };
    return { launch: general.launch, literals: general.words, index: this.#programs.get(key) ?? this.#compile(general.launch) };
  }

  #compile(launch: ProgramLaunch): number {
    const { bytes } = compileProgram(launch.program, this.#options(launch));
    const index = this.#runtime.threads.register(bytes, "a pointwise program");
    this.#programs.set(this.#keyOf(launch), index);
    return index;
  }

  #keyOf(launch: ProgramLaunch): string {
    return cacheKey(launch.program, this.#options(launch));
  }

  /** The loader clears the shared flag where memory is not shared. */
  #options({ access, extents }: ProgramLaunch) {
    return { access, rank: extents.length, shared: true, fused: this.#runtime.build === "fma" };
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
