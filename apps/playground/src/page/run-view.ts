import { partsWords } from "../model-parts.ts";
import { presetOf } from "../presets.ts";
import type { Command } from "../protocol.ts";
import { deviceTitle, type Phase, type State, speedOf, stepOf } from "../state.ts";
import { byId, setText } from "./dom.ts";

/** The line that says what is going on, the buttons for it, and its figures. */
export function runView(send: (command: Command) => void): (state: State) => void {
  const [pause, save] = [byId<HTMLButtonElement>("pause"), byId<HTMLButtonElement>("save")];
  let phase: Phase = "none";
  pause.addEventListener("click", () => send({ type: phase === "paused" ? "resume" : "pause" }));
  save.addEventListener("click", () => send({ type: "save" }));
  return (state) => {
    phase = state.phase;
    const alive = phase === "training" || phase === "paused";
    setText(pause, phase === "paused" ? "Resume" : "Pause");
    pause.disabled = !alive || state.waiting !== undefined;
    save.disabled = !(alive || phase === "finished") || state.waiting !== undefined;
    setText(byId("status"), statusOf(state));
    figures(state);
  };
}

/** What is going on, in words. */
export function statusOf(state: State): string {
  const { run, phase, waiting, ready } = state;
  if (!ready) return phase === "ended" ? "Starting over" : "Loading";
  if (waiting === "start" || waiting === "recover" || waiting === "open") return "Preparing";
  if (waiting === "pause") return "Pausing after this step";
  if (waiting === "save") return "Saving";
  if (!run) return "Ready";
  const parts = partsWords(run.parts);
  const model = `${presetOf(run.preset)?.title ?? run.preset}${parts && ` with ${parts}`}`;
  const what = `${model} on “${run.text}”, ${deviceTitle(state, run.device)}`;
  // The first step waits for the device's compiler.
  const training = state.records.length === 0 ? "Compiling the first step" : "Training";
  const begin = { none: "Ready", training, paused: "Paused", finished: "Finished", ended: "Ended" }[phase];
  return `${begin}: ${what}`;
}

function figures(state: State): void {
  const { run, records, evaluations, memory } = state;
  const [step, speed] = [stepOf(state), speedOf(state)];
  // The mean of the last steps: single ones jump too much to be read.
  const last = records.slice(-10);
  const loss = last.reduce((sum, record) => sum + record.loss, 0) / last.length;
  setText(byId("loss"), last.length > 0 ? loss.toFixed(3) : "–");
  const validation = evaluations.at(-1)?.valLoss;
  setText(byId("val-loss"), validation?.toFixed(3) ?? "–");
  byId<HTMLDataElement>("val-loss").value = validation === undefined ? "" : String(validation);
  setText(byId("step"), run ? `${step.toLocaleString("en")} of ${run.steps.toLocaleString("en")}` : "–");
  setText(byId("speed"), speed === undefined ? "–" : Math.round(speed).toLocaleString("en"));
  setText(byId("memory"), memory ? `${megabytes(memory.live)} MB` : "–");
  byId("memory").title = memory
    ? `${memory.buffers} buffers, ${megabytes(memory.pooled)} MB more kept for reuse, ${memory.allocations} allocations so far`
    : "";
  setText(byId("memory-peak"), memory ? `peak ${megabytes(memory.peak)}` : "");
  byId<HTMLProgressElement>("progress").value = run ? step / run.steps : 0;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
