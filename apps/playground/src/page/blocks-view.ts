import { type BlockWords, inPart } from "../protocol.ts";
import type { State } from "../state.ts";
import { blockSummary } from "./blocks.ts";
import { type Colors, Picture, pictureFont } from "./canvas.ts";
import { byId, setText } from "./dom.ts";

/** Who may look at whom in the layer on display, by blocks of positions. */
export function blocksView(): (state: State) => void {
  const canvas = byId<HTMLCanvasElement>("blocks");
  let shown: BlockWords | undefined;
  let label = "";
  const picture = new Picture(canvas, (context, { width }, colors) => {
    if (shown) paint(context, shown, width, colors);
    else paint(context, { length: 0, size: 0, times: new Int16Array(16 * 16) }, width, colors);
  });
  const show = (layer: number | undefined) => {
    const words = shown ? blockSummary(shown) : "Which blocks of positions a layer lets look at which others.";
    const next = shown ? `Block map of layer ${layer! + 1}. ${words}` : "Block map: nothing to show yet";
    if (next === label) return;
    label = next;
    canvas.setAttribute("aria-label", label);
    setText(byId("blocks-words"), words);
    picture.draw();
  };
  show(undefined);
  return ({ attention }) => {
    shown = attention?.blocks;
    show(attention?.layer);
  };
}

function paint(context: CanvasRenderingContext2D, { times }: BlockWords, width: number, colors: Colors): void {
  const count = Math.sqrt(times.length);
  const cell = width / count;
  const gap = cell > 6 ? 1 : 0.5;
  context.font = pictureFont(Math.min(12, cell * 0.7));
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [at, each] of times.entries()) {
    const [x, y] = [(at % count) * cell, Math.floor(at / count) * cell];
    context.fillStyle = each === 0 ? colors.line : colors.accent;
    context.globalAlpha = each === 0 ? 0.4 : 1;
    if (each === inPart) paintPart(context, x, y, cell - gap, colors);
    else context.fillRect(x, y, cell - gap, cell - gap);
    if (each <= 1) continue;
    context.fillStyle = colors.ground;
    context.fillText(String(each), x + cell / 2, y + cell / 2);
  }
  context.globalAlpha = 1;
}

/** Half of the block below its diagonal, on the colour of those that are faint: told apart without colours. */
function paintPart(context: CanvasRenderingContext2D, x: number, y: number, side: number, colors: Colors): void {
  context.fillStyle = colors.faint;
  context.fillRect(x, y, side, side);
  context.fillStyle = colors.accent;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x, y + side);
  context.lineTo(x + side, y + side);
  context.fill();
}
