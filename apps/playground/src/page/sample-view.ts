import type { Command } from "../protocol.ts";
import type { State } from "../state.ts";
import { byId, setText } from "./dom.ts";

/** What the model writes, and what it is to go on from. */
export function sampleView(send: (command: Command) => void): (state: State) => void {
  const [prompt, temperature] = [byId<HTMLInputElement>("prompt"), byId<HTMLInputElement>("temperature")];
  const list = byId("samples");
  // It scrolls, so the keyboard has to reach it.
  list.tabIndex = 0;
  let shown: State["samples"] = [];
  temperature.addEventListener("input", () => setText(byId("temperature-value"), temperature.value));
  byId("write").addEventListener("submit", (event) => {
    event.preventDefault();
    send({ type: "sample", prompt: prompt.value, temperature: Number(temperature.value) });
  });
  return ({ run, samples, phase, waiting }) => {
    byId<HTMLButtonElement>("write-button").disabled = run === undefined || phase === "ended" || waiting === "start" || waiting === "open";
    if (samples === shown) return;
    // A new run begins with the opening of its text; afterwards the field is the user's.
    if (samples[0] && shown.length === 0) prompt.value = samples[0].prompt;
    shown = samples;
    list.replaceChildren(...samples.map(item));
  };
}

function item({ step, prompt, text }: State["samples"][number]): HTMLElement {
  const [one, when, written, mark] = [element("li"), element("p"), element("p"), element("strong")];
  when.textContent = `after ${step.toLocaleString("en")} steps`;
  when.className = "hint";
  mark.textContent = prompt;
  written.append(mark, text);
  one.append(when, written);
  return one;
}

const element = (name: string): HTMLElement => document.createElement(name);
