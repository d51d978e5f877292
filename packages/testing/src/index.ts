export { type CompareOptions, type Comparison, compareArrays, type WorstElement } from "./compare.ts";
export {
  type ConformanceCase,
  type ConformanceOptions,
  type ConformanceResult,
  checkConformance,
  conformance,
  conformanceCases,
  type KernelException,
  type TestRunner,
} from "./conformance/conformance.ts";
export { type DeviceEntry, describeDevices } from "./devices.ts";
export { type Differentiable, type GradcheckOptions, gradcheck } from "./gradcheck.ts";
export { type MatcherResult, type Numbers, tensorMatchers } from "./matchers.ts";
export { differencesOf } from "./parity/case.ts";
export { compareOutput, compareSequences } from "./parity/compare.ts";
export type {
  ParityCase,
  ParityDirectory,
  ParityGeneration,
  ParityModule,
  ParityOutput,
  ParityReader,
  ParityTensor,
} from "./parity/format.ts";
export { type OpenTensors, readParity, readParityModule, readParityModules } from "./parity/read.ts";
export { Stream } from "./stream.ts";
