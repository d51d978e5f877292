import {
  type AttrDefaults,
  type Attrs,
  type Inputs,
  type Kernel,
  type LayoutSpec,
  type Op,
  type Outputs,
  type PerInput,
  type PerOutput,
  type PlanRequest,
  type Spec,
  tensorInterface,
} from "@x/tensor";
import { driverName } from "../device/name.ts";
import { Planner } from "./planner.ts";

/** What `accepts` is asked about. */
export interface WasmQuestion<I extends Inputs, A, O extends Outputs> {
  readonly specs: PerInput<I, Spec>;
  readonly outputs: PerOutput<O, Spec>;
  readonly attrs: Attrs<A>;
  readonly caps: PlanRequest["caps"];
}

/** What `plan` is told. */
export interface WasmRequest<I extends Inputs, A, O extends Outputs> extends Omit<WasmQuestion<I, A, O>, "specs"> {
  readonly specs: PerInput<I, LayoutSpec>;
  wants(output: keyof O & string): boolean;
  reuses(output: keyof O & string): boolean;
}

export interface WasmKernel<I extends Inputs, A, O extends Outputs> {
  /** Shown by `explain`; "wasm NAME" if absent. */
  readonly name?: string;
  /** Inputs that may arrive with strides: "rows" has a unit stride on the last axis. The others arrive contiguous. */
  readonly layout?: { readonly [K in keyof I]?: "rows" | "strided" };
  /** True, or why this kernel does not serve; absent: it always does. */
  accepts?(question: WasmQuestion<I, A, O>): true | string;
  /** Adds the launches to the planner. */
  plan(planner: Planner, request: WasmRequest<I, A, O>): void;
}

/** A kernel of wasm devices for a contract: pass it to `wasm({ kernels: [...] })` or `device.use([...])`. */
export function wasmKernel<I extends Inputs, A extends AttrDefaults, O extends Outputs>(
  op: Op<I, A, O>,
  kernel: WasmKernel<I, A, O>,
): Kernel {
  const { contract } = op;
  return {
    name: kernel.name ?? `wasm ${contract.name}`,
    contract,
    driver: driverName,
    interface: tensorInterface,
    ...(kernel.layout && { layout: kernel.layout as Record<string, "rows" | "strided"> }),
    ...(kernel.accepts && { accepts: (question) => kernel.accepts!(question as unknown as WasmQuestion<I, A, O>) }),
    plan: (request) => {
      const planner = new Planner(contract, request);
      kernel.plan(planner, request as unknown as WasmRequest<I, A, O>);
      return planner.finish();
    },
  };
}
