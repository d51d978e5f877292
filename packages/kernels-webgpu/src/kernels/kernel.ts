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
import type { Caps } from "../device/caps.ts";
import { driverName } from "../device/name.ts";
import { Planner } from "./planner.ts";

/** What `accepts` is asked about. */
export interface WebgpuQuestion<I extends Inputs, A, O extends Outputs> {
  readonly specs: PerInput<I, Spec>;
  readonly outputs: PerOutput<O, Spec>;
  readonly attrs: Attrs<A>;
  readonly caps: Caps;
}

/** What `plan` is told. */
export interface WebgpuRequest<I extends Inputs, A, O extends Outputs> extends Omit<WebgpuQuestion<I, A, O>, "specs"> {
  readonly specs: PerInput<I, LayoutSpec>;
  /** Whether an auxiliary output is read by a gradient. */
  wants(output: keyof O & string): boolean;
  /** Whether this output lies in the memory of the input that the contract's `mayReuse` names. */
  reuses(output: keyof O & string): boolean;
}

export interface WebgpuKernel<I extends Inputs, A, O extends Outputs> {
  /** Shown by `explain`; "webgpu NAME" if absent. Two kernels of one contract need two names. */
  readonly name?: string;
  /** Inputs that may arrive with strides: "rows" has a unit stride on the last axis. The others arrive contiguous. */
  readonly layout?: { readonly [K in keyof I]?: "rows" | "strided" };
  /** True, or why this kernel does not serve; absent: it always does. */
  accepts?(question: WebgpuQuestion<I, A, O>): true | string;
  /** Adds the launches to the planner. */
  plan(planner: Planner, request: WebgpuRequest<I, A, O>): void;
}

/** A kernel of WebGPU devices for a contract: pass it to `webgpu({ kernels: [...] })` or `device.use([...])`. */
export function webgpuKernel<I extends Inputs, A extends AttrDefaults, O extends Outputs>(
  op: Op<I, A, O>,
  kernel: WebgpuKernel<I, A, O>,
): Kernel {
  const { contract } = op;
  return {
    name: kernel.name ?? `${driverName} ${contract.name}`,
    contract,
    driver: driverName,
    interface: tensorInterface,
    ...(kernel.layout && { layout: kernel.layout as Record<string, "rows" | "strided"> }),
    ...(kernel.accepts && { accepts: (question) => kernel.accepts!(question as unknown as WebgpuQuestion<I, A, O>) }),
    plan: (request: PlanRequest) => {
      const planner = new Planner(contract, request);
      kernel.plan(planner, request as unknown as WebgpuRequest<I, A, O>);
      return planner.finish();
    },
  };
}
