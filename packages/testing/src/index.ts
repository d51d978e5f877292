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
export { Stream } from "./stream.ts";
