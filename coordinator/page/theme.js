// Light or dark: the system's choice, or what was chosen here.

const kKey = "lockstep-theme";

export function setUpTheme() {
  const chosen = localStorage.getItem(kKey);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

export function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(kKey, root.dataset.theme);
  dispatchEvent(new Event("themechange"));
}
