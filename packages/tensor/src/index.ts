export type { Hosted, HostTensor, StepArgument } from "./arguments.ts";
export { grad, noGrad, valueAndGrad, vjp } from "./autograd.ts";
export { Cell, type CellOptions, Parameter, State, type TensorLike } from "./cell.ts";
export { checkpointed } from "./checkpointed.ts";
export { collapse, type Iteration, type LeafAccess } from "./collapse.ts";
export { type CompileOptions, compile, type Statics, type Step } from "./compile.ts";
export {
  arange,
  type CreateOptions,
  full,
  hostConstant,
  type Nested,
  ones,
  onesLike,
  tensorOf as tensor,
  zeros,
  zerosLike,
} from "./create.ts";
export {
  Device,
  type DeviceOptions,
  defaultDevice,
  type ExecutionFigures,
  type Explanation,
  setDefaultDevice,
  withDevice,
} from "./device.ts";
export { everyOutput, explain } from "./dispatch.ts";
export { type DType, decode, dtypes, encode, type HostArray, isFloat, type RegisterType, statisticsOf } from "./dtype.ts";
export {
  callSite,
  DeviceError,
  DeviceLostError,
  DTypeError,
  KernelRefusedError,
  LifetimeError,
  MissingKernelError,
  OutOfMemoryError,
  ShapeError,
  TensorError,
  TraceError,
} from "./errors.ts";
export { pointwise } from "./fuse.ts";
export { currentGenerator, drawBits, drawUniform, Generator, type GeneratorState, rand, randn, withGenerator } from "./generator.ts";
export {
  type Binding,
  type BoundStep,
  type CompanionPlan,
  type Driver,
  type Executable,
  type Kernel,
  type KernelPlan,
  type LayoutSpec,
  type PerName,
  type PlanRequest,
  tensorInterface,
} from "./kernel.ts";
export {
  type Arguments,
  type AttrArguments,
  type AttrDefaults,
  type Attrs,
  aux,
  type Contract,
  defineOp,
  type Input,
  type Inputs,
  many,
  maybe,
  type Op,
  type OpDeclaration,
  type Output,
  type Outputs,
  one,
  out,
  outs,
  type PerInput,
  type PerOutput,
  type Required,
  type Result,
  required,
  type Spec,
  scalar,
} from "./op.ts";
export type { MemoryFigures } from "./pool.ts";
export { currentPrecision, type Precision, withPrecision } from "./precision.ts";
export { concat, embed } from "./primitives/assemble.ts";
export { convolution } from "./primitives/convolution.ts";
export { copy } from "./primitives/copy.ts";
export { cummax, cumprod, cumsum } from "./primitives/cumulative.ts";
export { fft } from "./primitives/fft.ts";
export { gather, putAdd, scatterAdd, take } from "./primitives/gather.ts";
export { matmul } from "./primitives/matmul.ts";
export { expand, flip, permute, reshape, slice } from "./primitives/movement.ts";
export { argmax, argmin, max, min, prod, sum, sumTo } from "./primitives/reduce.ts";
export { sort, topK } from "./primitives/sort.ts";
export { type LaunchTime, Profile } from "./profile.ts";
export type { Instruction, Program, ScalarName } from "./program.ts";
export { philox, randomBits, uniformFromBits } from "./random.ts";
export { reference } from "./reference/driver.ts";
export { evaluateProgram } from "./reference/program.ts";
export type { ExpressionSample, Fill, OpSample, Sample, SampleInput, Tolerance } from "./sample.ts";
export { openScope, scope, tensorsIn } from "./scope.ts";
export { axesIn, axisIn, broadcast, contiguousStrides, isContiguous, reducedShape, type Shape, sameShape, show, sizeOf } from "./shape.ts";
export { Tensor } from "./tensor.ts";
export { isTracing } from "./trace.ts";
