import type { TensorLike } from "./cell.ts";
import { context } from "./context.ts";
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import { DeviceError, TensorError } from "./errors.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** What is known of a tensor before anything runs. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

type InputKind = "one" | "maybe" | "many" | "scalar";
type OutputKind = "out" | "aux" | "outs";
export interface Input<K extends InputKind = InputKind> {
  readonly input: K;
}
export interface Output<K extends OutputKind = OutputKind> {
  readonly output: K;
}
declare const requiredType: unique symbol;
export interface Required<T> {
  readonly required: true;
  readonly [requiredType]?: T;
}

/** A tensor that must be given. */
export function one(): Input<"one"> {
  return { input: "one" };
}
/** A tensor that may be left out. */
export function maybe(): Input<"maybe"> {
  return { input: "maybe" };
}
/** A list of tensors. */
export function many(): Input<"many"> {
  return { input: "many" };
}
/** A number, tensor or cell of one element: always data, never a constant of the kernel. */
export function scalar(): Input<"scalar"> {
  return { input: "scalar" };
}
/** A result. With a single one the call returns it, with several a record. */
export function out(): Output<"out"> {
  return { output: "out" };
}
/** An auxiliary result that only the gradient reads; made when it is saved, differentiable all the same. */
export function aux(): Output<"aux"> {
  return { output: "aux" };
}
/** A list of results. */
export function outs(): Output<"outs"> {
  return { output: "outs" };
}
/** An attribute without a default. */
export function required<T>(): Required<T> {
  return { required: true };
}

export type Inputs = Readonly<Record<string, Input>>;
export type Outputs = Readonly<Record<string, Output>>;
export type AttrDefaults = Readonly<Record<string, unknown>>;

type KeysOf<R, Kind> = { [K in keyof R]: R[K] extends Kind ? K : never }[keyof R];
/** One entry per input, in the form `One` for tensors and `Many` for lists. */
export type PerInput<I extends Inputs, One, Scalar = One> = {
  readonly [K in KeysOf<I, Input<"one">>]: One;
} & { readonly [K in KeysOf<I, Input<"scalar">>]: Scalar } & { readonly [K in KeysOf<I, Input<"many">>]: readonly One[] } & {
  readonly [K in KeysOf<I, Input<"maybe">>]: One | undefined;
};
export type PerOutput<O extends Outputs, One> = { readonly [K in keyof O]: O[K] extends Output<"outs"> ? readonly One[] : One };
/** What a caller passes. */
export type Arguments<I extends Inputs> = { readonly [K in KeysOf<I, Input<"one">>]: TensorLike } & {
  readonly [K in KeysOf<I, Input<"scalar">>]: TensorLike | number;
} & { readonly [K in KeysOf<I, Input<"many">>]: readonly TensorLike[] } & {
  readonly [K in KeysOf<I, Input<"maybe">>]?: TensorLike | undefined;
};

/** The type of a default: 1e-5 stands for any number; a union that was written down stays one. */
type Widen<T> = IsUnion<T> extends true ? T : T extends number ? number : T extends boolean ? boolean : T extends string ? string : T;
export type Attrs<A> = { readonly [K in keyof A]: A[K] extends Required<infer T> ? T : Widen<A[K]> };
export type AttrArguments<A> = { readonly [K in KeysOf<A, Required<unknown>>]: Attrs<A>[K] } & {
  readonly [K in Exclude<keyof A, KeysOf<A, Required<unknown>>>]?: Attrs<A>[K] | undefined;
};

type Visible<O extends Outputs> = KeysOf<O, Output<"out"> | Output<"outs">>;
type IsUnion<T, U = T> = T extends unknown ? ([U] extends [T] ? false : true) : never;
/** What a call returns: the one result, or a record of them. */
export type Result<O extends Outputs> =
  IsUnion<Visible<O>> extends true ? { readonly [K in Visible<O>]: PerOutput<O, Tensor>[K] } : PerOutput<O, Tensor>[Visible<O>];

type Saved<I extends Inputs, O extends Outputs, S extends keyof I | keyof O> = {
  readonly [K in S]: K extends keyof PerInput<I, Tensor> ? PerInput<I, Tensor>[K] : K extends keyof O ? PerOutput<O, Tensor>[K] : never;
};

export interface GradientRequest<I extends Inputs, A, O extends Outputs, S extends keyof I | keyof O> {
  /** The tensors named in `saves`. */
  readonly saved: Saved<I, O, S>;
  readonly specs: PerInput<I, Spec>;
  readonly attrs: Attrs<A>;
  /** The gradient with respect to each output; undefined stands for zero. */
  readonly upstream: { readonly [K in keyof O]: O[K] extends Output<"outs"> ? readonly (Tensor | undefined)[] : Tensor | undefined };
  /** Whether anyone wants the gradient of this input. */
  needs(name: keyof I): boolean;
}
export type Gradients<I extends Inputs> = {
  readonly [K in keyof I]?: I[K] extends Input<"many"> ? readonly (Tensor | undefined)[] : Tensor | undefined;
};

/** A declaration of an operation: from it hang calls, errors, kernels, gradients and samples, all with the same names. */
export interface OpDeclaration<I extends Inputs, A extends AttrDefaults, O extends Outputs, S extends keyof I | keyof O> {
  /** Unique; third parties prefix it with their package. */
  readonly name: string;
  readonly version?: number;
  readonly inputs: I;
  readonly attrs?: A;
  readonly outputs: O;
  /** Shapes and dtypes of the outputs from those of the inputs: the only check there is, so its errors are what users read. */
  infer(inputs: PerInput<I, Spec>, attrs: Attrs<A>): PerOutput<O, Spec>;
  /** The meaning, in primitives and other operations. A primitive has none and must be served by a kernel. */
  reference?(inputs: PerInput<I, Tensor>, attrs: Attrs<A>): { readonly [K in keyof O]: PerOutput<O, Tensor>[K] };
  /** The reference is one pointwise chain: it is recorded in place and fuses with its neighbours; no kernel is looked up. */
  readonly pointwise?: boolean;
  /** The output is the input x, element for element: a compiled step may make x where the output is wanted, and leave this out. */
  readonly copies?: boolean;
  /** What the gradient reads; nothing else is kept. */
  readonly saves?: readonly S[];
  /** Whether the gradient reads a name of `saves` with these attributes; absent: always. An auxiliary output that it does not read is not made. */
  keeps?(name: S, attrs: Attrs<A>): boolean;
  /** Gradients of the inputs, made of operations. Absent: the reference is differentiated. */
  grad?(request: GradientRequest<I, A, O, S>): Gradients<I>;
  /** Inputs whose memory a kernel may write an output over once nothing reads them again. */
  readonly mayReuse?: { readonly [K in keyof O]?: keyof I };
}

/** A declared operation, callable by named inputs and attributes. */
export interface Op<I extends Inputs = Inputs, A extends AttrDefaults = AttrDefaults, O extends Outputs = Outputs> {
  (
    inputs: Arguments<I>,
    ...attrs: KeysOf<A, Required<unknown>> extends never ? [attrs?: AttrArguments<A>] : [attrs: AttrArguments<A>]
  ): Result<O>;
  readonly contract: Contract;
  /** For types only. */
  readonly types?: { readonly inputs: I; readonly attrs: A; readonly outputs: O };
}

/** A declaration with its types erased: what the shared machinery reads. */
export interface Contract {
  readonly name: string;
  readonly version: number;
  readonly inputs: Inputs;
  readonly attrs: AttrDefaults;
  readonly outputs: Outputs;
  infer(inputs: Record<string, unknown>, attrs: Record<string, unknown>): Record<string, Spec | readonly Spec[]>;
  reference?(inputs: Record<string, unknown>, attrs: Record<string, unknown>): Record<string, Tensor | readonly Tensor[]>;
  readonly pointwise: boolean;
  readonly copies: boolean;
  readonly saves: readonly string[];
  keeps?(name: string, attrs: Record<string, unknown>): boolean;
  grad?(request: unknown): Record<string, unknown>;
  readonly mayReuse: Readonly<Record<string, string>>;
  /** A view: maps an input's placement to the output's, or undefined where only a copy can serve. See movement.ts. */
  view?: View;
}
export type View = (
  shape: Shape,
  strides: Shape,
  attrs: Record<string, unknown>,
) => { readonly offset: number; readonly strides: Shape } | undefined;

/** Declares an operation. See DESIGN: "A contract is declared once, and everything else hangs on that declaration". */
export function defineOp<
  const I extends Inputs,
  const O extends Outputs,
  const A extends AttrDefaults = Record<never, never>,
  const S extends keyof I | keyof O = never,
>(declaration: OpDeclaration<I, A, O, S>): Op<I, A, O> {
  const contract = {
    version: 1,
    attrs: {},
    pointwise: false,
    copies: false,
    saves: [],
    mayReuse: {},
    ...declaration,
  } as unknown as Contract;
  for (const name of contract.saves)
    if (!(name in contract.inputs) && !(name in contract.outputs))
      throw new TensorError(`defineOp ${contract.name}: saves names "${name}", which is neither an input nor an output.`);
  // Through the device, so that this file imports nothing that is made of operations.
  const call = (inputs: Record<string, unknown>, attrs: Record<string, unknown> = {}) =>
    deviceOf(contract.name, inputs).apply(contract, inputs, attrs);
  return Object.assign(call, { contract }) as unknown as Op<I, A, O>;
}

/** The device of the first tensor among the inputs, else the default. */
export function deviceOf(who: string, inputs: Readonly<Record<string, unknown>>): Device {
  for (const item of Object.values(inputs).flat()) {
    const device = (item as { device?: Device } | undefined)?.device;
    if (device) return device;
  }
  if (context.device) return context.device;
  throw new DeviceError(`${who}: no device. Set one once with setDefaultDevice(await wasm()), or pass tensors that have one.`);
}
