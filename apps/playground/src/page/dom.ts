/** The element of index.html that has this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element with the id "${id}".`);
  return element as T;
}

/** Writes only what differs, so that nothing is laid out or read out anew for nothing. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export interface Choice {
  readonly value: string;
  readonly text: string;
  readonly disabled?: boolean;
}

/** The options of a select; the chosen one stays, where it still is there. */
export function setOptions(select: HTMLSelectElement, choices: readonly Choice[]): void {
  const key = JSON.stringify(choices);
  if (select.dataset.choices === key) return;
  const chosen = select.value;
  select.dataset.choices = key;
  select.replaceChildren(...choices.map(({ value, text, disabled = false }) => Object.assign(new Option(text, value), { disabled })));
  if (choices.some(({ value }) => value === chosen)) select.value = chosen;
}

/** The checked radio button of this name. */
export const chosenRadio = (name: string): string => document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";

/** A button that opens the browser's dialog for files: a file input alone can be neither styled nor named well. */
export function fileButton(button: HTMLElement, input: HTMLInputElement, take: (file: File) => void): void {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    // Emptied, so that the same file can be chosen again.
    input.value = "";
    if (file) take(file);
  });
}
