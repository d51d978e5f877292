import { type Preset, presetOf, presets } from "../presets.ts";
import type { Command, DeviceWords, TextChoice } from "../protocol.ts";
import type { State } from "../state.ts";
import { byId, chosenRadio, fileButton, setOptions, setText } from "./dom.ts";
import { partsChooser } from "./parts-view.ts";
import { readTextFile } from "./text-file.ts";

interface Actions {
  readonly send: (command: Command) => void;
  readonly tell: (words: string) => void;
}

/** The form that says what to train, on what, and where. */
export function setupView({ send, tell }: Actions): (state: State) => void {
  const [model, device] = [byId<HTMLSelectElement>("model"), byId<HTMLSelectElement>("device")];
  const [steps, seed] = [byId<HTMLInputElement>("steps"), byId<HTMLInputElement>("seed")];
  const text = textChooser(tell);
  let state: State | undefined;
  setOptions(
    model,
    presets.map(({ id, title }) => ({ value: id, text: title })),
  );
  model.value = presets[1]!.id;
  const preset = () => presetOf(model.value)!;
  const parts = partsChooser(preset);
  const toPreset = () => {
    steps.value = String(preset().training.steps);
    setText(byId("model-words"), wordsOf(preset()));
    parts.show();
  };
  model.addEventListener("change", toPreset);
  toPreset();
  const showDevice = () => setText(byId("device-words"), deviceWords(state?.ready?.devices ?? [], device.value));
  device.addEventListener("change", showDevice);
  byId("setup").addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = text.choice();
    if (!chosen) return tell("There is no text yet. Paste one, or choose a file.");
    const numbers = { steps: Number(steps.value), seed: Number(seed.value) };
    send({ type: "start", preset: model.value, parts: parts.chosen(), device: device.value, text: chosen, ...numbers });
    lookAtStage();
  });
  const load = (file: File) => {
    const chosen = text.choice() ?? { kind: "sources" };
    send({ type: "open", file, name: file.name, device: device.value, text: chosen });
    lookAtStage();
  };
  fileButton(byId("load"), byId<HTMLInputElement>("load-file"), load);
  // Anywhere on the page: a browser would leave the page, and the run, for a file that misses its place.
  dropZone(document.documentElement, (file) => (/\.safetensors$/i.test(file.name) ? load(file) : text.take(file)));
  byId("recover").addEventListener("click", () => send({ type: "recover", device: device.value }));
  return (next) => {
    const { opened } = next;
    if (opened && opened !== state?.opened) {
      model.value = opened.preset;
      toPreset();
      steps.value = String(opened.steps);
      parts.take(opened.parts);
    }
    state = next;
    setOptions(
      device,
      (next.ready?.devices ?? []).map(({ id, title, available }) => ({ value: id, text: title, disabled: !available })),
    );
    showDevice();
    text.render(next);
    const rests = next.ready === undefined || next.waiting !== undefined;
    for (const id of ["start", "load", "recover"]) byId<HTMLButtonElement>(id).disabled = rests;
    setText(byId("start"), next.phase === "none" ? "Start training" : "Start anew");
  };
}

/** What the chosen device is, and why others cannot be had. */
export function deviceWords(devices: readonly DeviceWords[], chosen: string): string {
  const told = devices.filter(({ id, available }) => id === chosen || !available);
  return told.map(({ id, title, words }) => (id === chosen ? `${words}.` : `${title}: ${words}.`)).join(" ");
}

/** On a narrow screen the run is below the form. */
function lookAtStage(): void {
  const stage = byId("stage");
  if (stage.getBoundingClientRect().top < innerHeight / 2) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
}

function wordsOf({ words, numLayers, numHeads, dim, training: { context, batch } }: Preset): string {
  const millions = (12 * numLayers * dim * dim) / 1e6;
  const size = millions < 0.1 ? `${Math.round(millions * 1000)} thousand` : `${millions.toFixed(1)} million`;
  return `${numLayers} layers of ${numHeads} heads, width ${dim}, about ${size} weights. Reads ${batch} × ${context} characters a step; ${words}.`;
}

/** The choice between the page's own text, a pasted one and a file. */
function textChooser(tell: (words: string) => void) {
  const [area, own, remove] = [byId<HTMLTextAreaElement>("own-text"), byId("own"), byId<HTMLButtonElement>("text-file-remove")];
  let file: { readonly name: string; readonly text: string } | undefined;
  let state: State | undefined;
  const choice = (): TextChoice | undefined => {
    if (chosenRadio("text") === "sources") return { kind: "sources" };
    if (file) return { kind: "own", ...file };
    return area.value === "" ? undefined : { kind: "own", name: "Pasted text", text: area.value };
  };
  const show = () => {
    const isOwn = chosenRadio("text") === "own";
    own.hidden = !isOwn;
    area.hidden = file !== undefined;
    remove.hidden = file === undefined;
    const sources = state?.ready?.sources;
    const words = sources ? `${sources.files} source files, ${characters(sources.characters)}` : "";
    const ownWords = file ? `${file.name}, ${characters(file.text.length)}` : characters(area.value.length);
    setText(byId("text-words"), isOwn ? ownWords : words);
  };
  const take = (chosen: File) =>
    readTextFile(chosen, chosen.name).then(
      (text) => {
        file = { name: chosen.name, text };
        byId("text").querySelector<HTMLInputElement>('input[value="own"]')!.checked = true;
        show();
      },
      (error: Error) => tell(error.message),
    );
  fileButton(byId("text-file-button"), byId<HTMLInputElement>("text-file"), take);
  remove.addEventListener("click", () => {
    file = undefined;
    show();
    area.focus();
  });
  byId("text").addEventListener("input", show);
  return {
    choice,
    take,
    render(next: State) {
      state = next;
      show();
    },
  };
}

function dropZone(zone: HTMLElement, take: (file: File) => void): void {
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("dropping");
  });
  zone.addEventListener("dragleave", (event) => event.relatedTarget === null && zone.classList.remove("dropping"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}

const characters = (count: number): string => `${count.toLocaleString("en")} ${count === 1 ? "character" : "characters"}`;
