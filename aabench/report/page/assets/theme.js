// The theme: light or dark, as the system says until somebody presses the button.

const PALETTES = {
  light: { ink: "#1f2328", muted: "#59636e", grid: "#e4e7eb", halo: "#ffffff" },
  dark: { ink: "#e6e9ee", muted: "#9aa4b1", grid: "#2c333d", halo: "#14181d" },
};

const systemTheme = matchMedia("(prefers-color-scheme: dark)");
const themeListeners = [];
let chosenTheme = null;

function themeName() {
  return chosenTheme ?? (systemTheme.matches ? "dark" : "light");
}

function palette() {
  return PALETTES[themeName()];
}

function showTheme() {
  const root = document.documentElement;
  root.style.colorScheme = themeName();
  root.classList.toggle("dark", themeName() === "dark"); // DataTables looks for this class
  const other = themeName() === "dark" ? "light" : "dark";
  document.getElementById("theme").textContent = `Switch to ${other}`;
  for (const listener of themeListeners) listener();
}

function startTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    chosenTheme = themeName() === "dark" ? "light" : "dark";
    showTheme();
  });
  systemTheme.addEventListener("change", showTheme);
  showTheme();
}
