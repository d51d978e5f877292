import type { State } from "../state.ts";
import { type Colors, Picture, pictureFont } from "./canvas.ts";
import { columns, lossRange, type Point, type Range, scale, smooth, stepRange, ticks } from "./curve.ts";

interface Frame {
  readonly toX: (step: number) => number;
  readonly toY: (loss: number) => number;
  readonly steps: Range;
  readonly losses: Range;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

const margin = { left: 36, right: 8, top: 10, bottom: 24 };

/** Draws the losses of a run, and says in words what they show. */
export function curveView(canvas: HTMLCanvasElement): (state: State) => void {
  let shown: State | undefined;
  const picture = new Picture(canvas, (context, { width, height }, colors) => {
    if (shown) paint(context, shown, width, height, colors);
  });
  return (state) => {
    if (shown && shown.records === state.records && shown.evaluations === state.evaluations && shown.run === state.run) return;
    shown = state;
    canvas.setAttribute("aria-label", wordsOf(state));
    picture.draw();
  };
}

function wordsOf({ records, evaluations }: State): string {
  const [begin, end] = [records[0], records.at(-1)];
  if (!begin || !end) return "Loss curve: nothing trained yet";
  const validation = evaluations.at(-1);
  const said = validation ? `, validation ${validation.valLoss.toFixed(2)}` : "";
  return `Loss curve: from ${begin.loss.toFixed(2)} at step ${begin.step} to ${end.loss.toFixed(2)} at step ${end.step}${said}`;
}

function paint(context: CanvasRenderingContext2D, state: State, width: number, height: number, colors: Colors): void {
  const { run, records, evaluations } = state;
  const each: Point[] = records.map(({ step, loss }) => ({ x: step, y: loss }));
  const mean = smooth(each, Math.max(3, each.length / 50));
  const validation = evaluations.map(({ step, valLoss }) => ({ x: step, y: valLoss }));
  const blind = run ? Math.log(run.vocabSize) : undefined;
  const steps = stepRange(Math.max(each.at(-1)?.x ?? 0, validation.at(-1)?.x ?? 0), run?.steps ?? 1000);
  const losses = lossRange([...each, ...validation].map(({ y }) => y).concat(blind ?? []));
  const [left, right, bottom] = [margin.left, width - margin.right, height - margin.bottom];
  const frame: Frame = { toX: scale(steps, left, right), toY: scale(losses, bottom, margin.top), steps, losses, left, right, bottom };
  axes(context, frame, colors);
  if (blind !== undefined) dashed(context, frame, blind, colors);
  context.strokeStyle = colors.faint;
  context.lineWidth = 1;
  context.beginPath();
  for (const { x, min, max } of columns(each, frame.toX)) {
    context.lineTo(x, frame.toY(max));
    context.lineTo(x, frame.toY(min));
  }
  context.stroke();
  line(context, mean, frame, colors.accent);
  dots(context, validation, frame, colors);
}

function axes(context: CanvasRenderingContext2D, { toX, toY, steps, losses, left, right, bottom }: Frame, colors: Colors): void {
  context.font = pictureFont(11);
  context.fillStyle = colors.muted;
  context.strokeStyle = colors.line;
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const loss of ticks(losses.min, losses.max, 5)) {
    // Half a pixel: a line between two rows of pixels would be two of them, and pale.
    const y = Math.round(toY(loss)) + 0.5;
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(right, y);
    context.stroke();
    context.fillText(String(loss), left - 8, y);
  }
  context.textBaseline = "top";
  for (const step of ticks(steps.min, steps.max, Math.max(2, Math.floor((right - left) / 110)))) {
    const x = toX(step);
    context.textAlign = x > right - 20 ? "right" : x < left + 10 ? "left" : "center";
    context.fillText(step.toLocaleString("en"), x, bottom + 8);
  }
}

function dashed(context: CanvasRenderingContext2D, { toY, left, right }: Frame, loss: number, colors: Colors): void {
  const y = Math.round(toY(loss)) + 0.5;
  context.strokeStyle = colors.muted;
  context.setLineDash([2, 4]);
  context.beginPath();
  context.moveTo(left, y);
  context.lineTo(right, y);
  context.stroke();
  context.setLineDash([]);
}

function line(context: CanvasRenderingContext2D, points: readonly Point[], { toX, toY }: Frame, color: string): void {
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.beginPath();
  for (const { x, y } of points) context.lineTo(toX(x), toY(y));
  context.stroke();
}

function dots(context: CanvasRenderingContext2D, points: readonly Point[], { toX, toY }: Frame, colors: Colors): void {
  context.fillStyle = colors.second;
  for (const { x, y } of points) {
    context.beginPath();
    context.arc(toX(x), toY(y), 3.5, 0, 2 * Math.PI);
    context.fill();
  }
}
