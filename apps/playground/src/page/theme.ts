const key = "x-playground-theme";

/** The choice between the system's colours, light and dark; kept where the browser keeps anything. */
export function themeSwitch(group: HTMLElement): void {
  const apply = (theme: string) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  const kept = stored(() => localStorage.getItem(key));
  const input = kept ? group.querySelector<HTMLInputElement>(`input[value="${CSS.escape(kept)}"]`) : null;
  if (input) {
    input.checked = true;
    apply(input.value);
  }
  group.addEventListener("change", (event) => {
    const theme = (event.target as HTMLInputElement).value;
    apply(theme);
    stored(() => localStorage.setItem(key, theme));
  });
}

/** A page without storage (a private window, a sandbox) throws at the mere mention of it. */
function stored<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch {
    return undefined;
  }
}
