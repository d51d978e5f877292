import { choicesOf, type ModelParts, misfit, type NamedPart, namedParts, partsOf, partsWords } from "../model-parts.ts";
import type { Preset } from "../presets.ts";
import { byId, setOptions, setText } from "./dom.ts";

/** The choice of what a model is made of. What does not fit is said at once, and keeps the form from being sent. */
export function partsChooser(presetNow: () => Preset) {
  const group = byId<HTMLDetailsElement>("parts");
  const selects = Object.fromEntries(namedParts.map((part) => [part, byId<HTMLSelectElement>(part)])) as Record<
    NamedPart,
    HTMLSelectElement
  >;
  const heads = byId<HTMLInputElement>("kv-heads");
  for (const part of namedParts)
    setOptions(
      selects[part],
      choicesOf(part).map(([value, { title }]) => ({ value, text: title })),
    );
  const chosen = (): ModelParts => {
    const names = Object.fromEntries(namedParts.map((part) => [part, selects[part].value])) as Record<NamedPart, string>;
    return partsOf(names, heads.value === "" ? undefined : Number(heads.value), presetNow());
  };
  const show = () => {
    const preset = presetNow();
    const wrong = misfit(chosen(), preset);
    heads.placeholder = String(preset.numHeads);
    heads.setCustomValidity(wrong ?? "");
    setText(byId("parts-words"), partsWords(chosen()) || "GPT-2’s");
    for (const part of ["mixer", "position"] as const)
      setText(byId(`${part}-words`), choicesOf(part).find(([value]) => value === selects[part].value)![1].words);
    setText(byId("kv-heads-words"), wrong ?? `Shared by ${preset.numHeads} heads of queries; one for each if empty.`);
    byId("kv-heads-words").classList.toggle("wrong", wrong !== undefined);
  };
  group.addEventListener("input", show);
  // A browser can point only at what is unfolded. The event does not bubble.
  group.addEventListener(
    "invalid",
    () => {
      group.open = true;
    },
    true,
  );
  return {
    chosen,
    show,
    /** Takes the parts of a run over. */
    take(parts: ModelParts) {
      for (const part of namedParts) selects[part].value = parts[part] ?? choicesOf(part)[0]![0];
      heads.value = parts.numKvHeads === undefined ? "" : String(parts.numKvHeads);
      group.open ||= Object.keys(parts).length > 0;
      show();
    },
  };
}
