// The masthead: name, the switches for language and for light or dark, and the way out where there is a login.

import { el, icon, svg, write } from "./dom.js";
import { currentLanguage, onLanguage, t } from "./texts.js";

const NAMES = { en: "EN", zh: "中文" };
const FULL_NAMES = { en: "English", zh: "中文" };
const LEAVE_ICON = ["M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8", "M10 12h10M16.5 8.5 20 12l-3.5 3.5"];
const THEMES = ["auto", "light", "dark"];
const THEME_ICONS = {
  auto: ["M12 3a9 9 0 1 0 0 18z", "M12 3a9 9 0 0 1 0 18"],
  light: ["M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5"],
  dark: ["M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z"],
};

/** options: title, logOut (an address, or empty where nobody logs in), languages, theme (auto, light or dark), onLanguage(code), onTheme(name). */
export function buildMasthead(place, options) {
  const tagline = el("p", { class: "tts-tagline" });
  const languages = el("div", { class: "tts-switch", role: "group" });
  for (const code of options.languages) {
    languages.append(
      el("button", { type: "button", lang: code, "data-language": code, "aria-label": FULL_NAMES[code], onclick: () => options.onLanguage(code) }, NAMES[code] ?? code),
    );
  }
  let theme = knownTheme(options.theme);
  const themeButton = el("button", { type: "button", class: "tts-round", id: "tts-theme" });
  const showTheme = () => {
    applyTheme(theme);
    themeButton.replaceChildren(icon(...THEME_ICONS[theme]));
    const words = `${t("theme_switch")}: ${t(`theme_${theme}`)}`;
    themeButton.setAttribute("aria-label", words);
    themeButton.title = words;
  };
  themeButton.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    showTheme();
    options.onTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  // A form, so that the browser follows the answer to the login page; the server refuses it from other sites.
  const leave = el("button", { class: "tts-round", id: "tts-leave" }, icon(...LEAVE_ICON));
  const leaving = options.logOut ? el("form", { method: "post", action: options.logOut }, leave) : null;
  place.append(
    el("header", { class: "tts-masthead" },
      el("div", { class: "tts-brand" }, mark(), el("div", {}, el("h1", {}, options.title), tagline)),
      el("div", { class: "tts-switches" }, languages, themeButton, leaving)),
  );
  onLanguage(() => {
    write(tagline, t("tagline"));
    languages.setAttribute("aria-label", t("language_switch"));
    for (const button of languages.children) {
      button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
    }
    leave.setAttribute("aria-label", t("log_out"));
    leave.title = t("log_out");
    showTheme();
  });
}

/** The theme of that name; the system's when there is none. */
export const knownTheme = (name) => (THEMES.includes(name) ? name : "auto");

/** Shows a theme on the whole page; Gradio's own rules look for the class on the body. */
export function applyTheme(theme) {
  const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.body.classList.toggle("dark", dark);
}

function mark() {
  const lines = ["M7 14v4", "M11.5 10v12", "M16 6.5v19", "M20.5 11v10", "M25 14v4"].map((d) => svg("path", { d }));
  return svg("svg", { class: "tts-mark", viewBox: "0 0 32 32", "aria-hidden": "true" }, svg("rect", { width: 32, height: 32, rx: 9 }), ...lines);
}
