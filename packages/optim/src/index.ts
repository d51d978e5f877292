export { type Accumulated, Accumulator } from "./accumulator.ts";
export { type AdamWOptions, adamW } from "./adamw.ts";
export { type ClipOptions, type Clipped, clipByGlobalNorm } from "./clipping.ts";
export { byGroup, type Group } from "./groups.ts";
export { type LionOptions, lion } from "./lion.ts";
export { MovingAverage, type MovingAverageOptions } from "./moving-average.ts";
export { type MuonOptions, muon } from "./muon.ts";
export { orthogonalize } from "./newton-schulz.ts";
export {
  atLeastTwoAxes,
  type ElementaryRule,
  type NamedParameters,
  type Optimizer,
  type OptimizerRule,
  type ParameterPredicate,
  type ParameterUpdate,
  perParameter,
  type UpdateArguments,
} from "./optimizer.ts";
export type { Scalar } from "./scalars.ts";
export {
  constantSchedule,
  cosineSchedule,
  type Decay,
  inverseSqrtSchedule,
  linearSchedule,
  nanoGptCosine,
  type Schedule,
  type WarmUp,
  type WarmupStableDecay,
  wsdSchedule,
} from "./schedules.ts";
export { type SGDOptions, sgd } from "./sgd.ts";
