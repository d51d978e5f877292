export { type Evaluator, evaluator, languageLoss, type TokenBatch, type TokenWindows, tokenBatch } from "./language-loss.ts";
export type { LossScaling } from "./loss-scaler.ts";
export { type JsonlOptions, jsonLine, jsonlMetrics } from "./metrics/jsonl.ts";
export { type MetricsRecord, type MetricsSink, metrics } from "./metrics/metrics.ts";
export { type TensorBoardOptions, tensorBoardMetrics } from "./metrics/tensorboard.ts";
export { formatDuration, formatLoss, formatSi } from "./progress/format.ts";
export { type CurvePoint, type LossCurveOptions, lossCurve } from "./progress/loss-curve.ts";
export { type Progress, type ProgressOptions, type ProgressUpdate, progress } from "./progress/progress.ts";
export { hasColor, type OutputStream, paint, standardError } from "./progress/terminal.ts";
export { type RunState, restoreRun, type SaveRunOptions, saveRun } from "./run-checkpoint.ts";
export {
  type LossSum,
  type StepOptimizer,
  type StepReadings,
  type TrainStep,
  type TrainStepOptions,
  trainStep,
} from "./train-step.ts";
export {
  type CheckpointPlan,
  type Evaluation,
  type ResumableBatches,
  type StepRecord,
  Trainer,
  type TrainerOptions,
  type TrainResult,
} from "./trainer.ts";
