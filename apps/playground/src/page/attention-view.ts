import type { AttentionWords, Command } from "../protocol.ts";
import type { State } from "../state.ts";
import { glyph, reading } from "./attention.ts";
import { type Colors, Picture, pictureFont } from "./canvas.ts";
import { byId, setOptions, setText } from "./dom.ts";

/** Room for the labels of rows and columns. */
const labels = 18;
/** Positions of a map that has not come yet. */
const positions = 32;

/** The map of one head, the choice of the head, and the position that is read out. */
export function attentionView(send: (command: Command) => void): (state: State) => void {
  const [layer, head] = [byId<HTMLSelectElement>("layer"), byId<HTMLSelectElement>("head")];
  const position = byId<HTMLInputElement>("place");
  const canvas = byId<HTMLCanvasElement>("map");
  let shown: AttentionWords | undefined;
  const picture = new Picture(canvas, (context, { width }, colors) => {
    if (shown) paint(context, shown, width, Number(position.value), colors);
    else paintEmpty(context, width, colors);
  });
  const read = () => {
    const words = shown ? reading(shown, Number(position.value)) : "Choose a position here or in the map to read where it looks.";
    setText(byId("reading"), words);
    // Read out when the slider is moved, and not at every new map.
    position.setAttribute("aria-valuetext", words);
    picture.draw();
  };
  const ask = () => send({ type: "look", layer: Number(layer.value), head: Number(head.value) });
  layer.addEventListener("change", ask);
  head.addEventListener("change", ask);
  position.addEventListener("input", read);
  canvas.addEventListener("pointerdown", (event) => {
    const row = Math.floor((event.offsetY - labels) / cellOf(shown, canvas.clientWidth));
    if (!shown || row < 0 || row >= shown.tokens.length) return;
    position.value = String(row);
    read();
  });
  read();
  return ({ run, attention }) => {
    const numbers = (count: number) => Array.from({ length: count }, (_, i) => ({ value: String(i), text: String(i + 1) }));
    setOptions(layer, numbers(run?.numLayers ?? 0));
    setOptions(head, numbers(run?.numHeads ?? 0));
    for (const control of [layer, head]) control.disabled = run === undefined;
    if (attention === shown) return;
    const before = shown;
    shown = attention;
    position.disabled = shown === undefined;
    if (shown && shown.tokens.length !== before?.tokens.length) {
      position.max = String(shown.tokens.length - 1);
      position.value = position.max;
    }
    canvas.setAttribute(
      "aria-label",
      shown ? `Attention of layer ${shown.layer + 1}, head ${shown.head + 1}` : "Attention map: nothing to show yet",
    );
    read();
  };
}

const cellOf = (words: AttentionWords | undefined, width: number): number => (width - labels) / (words?.tokens.length ?? 1);

/** Where the map will be. */
function paintEmpty(context: CanvasRenderingContext2D, width: number, colors: Colors): void {
  const cell = (width - labels) / positions;
  context.fillStyle = colors.line;
  context.globalAlpha = 0.4;
  for (let row = 0; row < positions; row++)
    for (let column = 0; column <= row; column++) context.fillRect(labels + column * cell, labels + row * cell, cell - 1, cell - 1);
  context.globalAlpha = 1;
}

function paint(context: CanvasRenderingContext2D, words: AttentionWords, width: number, position: number, colors: Colors): void {
  const { tokens, weights } = words;
  const cell = cellOf(words, width);
  context.font = pictureFont(Math.min(12, cell * 1.05), true);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const [at, token] of tokens.entries()) {
    const middle = labels + (at + 0.5) * cell;
    context.fillStyle = at === position ? colors.ink : colors.muted;
    context.fillText(glyph(token), labels / 2 - 2, middle);
    context.fillStyle = colors.muted;
    context.fillText(glyph(token), middle, labels / 2 - 2);
  }
  context.fillStyle = colors.accent;
  for (let row = 0; row < tokens.length; row++)
    for (let column = 0; column < tokens.length; column++) {
      // The root makes weak looks visible; the area below the diagonal is drawn even where nothing is looked at.
      context.globalAlpha = column > row ? 0.03 : 0.06 + 0.94 * Math.sqrt(weights[row * tokens.length + column]!);
      context.fillRect(labels + column * cell, labels + row * cell, cell - 1, cell - 1);
    }
  context.globalAlpha = 1;
  context.strokeStyle = colors.ink;
  context.lineWidth = 1;
  context.strokeRect(labels - 0.5, labels + position * cell - 0.5, width - labels, cell);
}
