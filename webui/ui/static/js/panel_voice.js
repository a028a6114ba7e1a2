// The voice panel: who speaks, in which language, how fast. Voices and languages are the engine's.

import { el, write } from "./dom.js";
import { Message } from "./message.js";
import { Slider } from "./slider.js";
import { has, onLanguage, pick, t } from "./texts.js";

const PLACEHOLDERS = 5; // as many cards as most engines have voices, so that little moves when they come

/** options: voice, language, speed (to begin with), onChange({voice, language, speed}). */
export class VoicePanel {
  #engine;
  #options;
  #chosen;
  #wantedSpeed;
  #title = el("h2", { id: "tts-voice-title" });
  #cards = el("div", { class: "tts-voices", role: "radiogroup", "aria-labelledby": "tts-voice-title" });
  #languages = el("select", { id: "tts-language" });
  #languageLabel = el("label", { for: "tts-language" });
  #shown = null;

  constructor(place, speedBlock, engine, options) {
    this.#engine = engine;
    this.#options = options;
    this.#chosen = options.voice;
    this.#wantedSpeed = options.speed;
    this.speed = new Slider(speedBlock, () => this.#changed());
    place.append(this.#title, this.#cards, el("div", { class: "tts-field" }, this.#languageLabel, this.#languages));
    this.message = new Message(place.parentElement, this.#cards);
    this.speed.value = options.speed;
    this.#languages.addEventListener("change", () => this.#changed());
    this.#cards.addEventListener("keydown", (event) => this.#step(event));
    engine.onChange(() => this.#refresh());
    onLanguage(() => {
      this.#shown = null;
      this.#refresh();
    });
  }

  /** The chosen voice's id; empty for the engine's default. */
  get voice() {
    const voices = this.#engine.info?.voices ?? [];
    return voices.some((voice) => voice.id === this.#chosen) ? this.#chosen : (voices[0]?.id ?? "");
  }

  /** The language to speak; `auto` when the stored one is not spoken here. */
  get language() {
    return this.#languages.value || "auto";
  }

  /** Takes over what `values` has of voice, language and speed. */
  use({ voice, language, speed }) {
    if (typeof voice === "string") this.#choose(voice);
    if (typeof language === "string" && [...this.#languages.options].some((option) => option.value === language)) this.#languages.value = language;
    if (Number.isFinite(speed)) this.speed.value = speed;
    this.#changed();
  }

  #changed() {
    this.message.clear();
    this.#options.onChange({ voice: this.#chosen, language: this.language, speed: this.speed.value });
  }

  #refresh() {
    const info = this.#engine.info;
    if (this.#shown === (info ?? "none")) return;
    this.#shown = info ?? "none";
    write(this.#title, t("voice_label"));
    write(this.#languageLabel, t("language_label"));
    this.speed.setLabel(t("speed_label"));
    this.#showLanguages(info?.languages ?? []);
    if (!info) return this.#showPlaceholders();
    const [low, high] = info.speed_range ?? [0.5, 2];
    this.speed.setRange(Math.max(low, 0.5), Math.min(high, 2));
    this.#cards.removeAttribute("aria-busy");
    this.#cards.replaceChildren(...info.voices.map((voice) => this.#card(voice)));
    this.#mark();
  }

  #showPlaceholders() {
    this.#cards.setAttribute("aria-busy", "true");
    this.#cards.replaceChildren(
      ...Array.from({ length: PLACEHOLDERS }, () => el("span", { class: "tts-voice tts-ghost", "aria-hidden": "true" })),
      el("span", { class: "tts-unseen" }, t("voice_loading")),
    );
  }

  #showLanguages(codes) {
    const wanted = this.#languages.options.length ? this.language : this.#options.language;
    const known = ["auto", ...codes];
    // Before the engine is there its languages are not known: what was chosen earlier stays chosen.
    if (!codes.length && wanted !== "auto") known.push(wanted);
    this.#languages.replaceChildren(
      ...known.map((code) => el("option", { value: code }, has(`language_${code}`) ? t(`language_${code}`) : code)),
    );
    this.#languages.value = known.includes(wanted) ? wanted : "auto";
  }

  #card(voice) {
    const name = pick(voice.title) || voice.id;
    const gender = ["female", "male"].includes(voice.gender) ? voice.gender : "neutral";
    // A voice that is good in everything the engine speaks says nothing by listing it.
    const codes = voice.languages ?? [];
    const all = this.#engine.info.languages.every((code) => codes.includes(code));
    const languages = all ? [] : codes.map((code) => (has(`language_${code}`) ? t(`language_${code}`) : code));
    return el("button", { type: "button", class: "tts-voice", role: "radio", "data-voice": voice.id, "data-gender": gender, onclick: () => this.#choose(voice.id) },
      el("span", { class: "tts-face", "aria-hidden": "true" }, [...name][0] ?? "?"),
      el("span", { class: "tts-voice-words" },
        el("span", { class: "tts-voice-name" }, name),
        el("span", { class: "tts-voice-kind" }, [t(`voice_${gender}`), ...languages].join(" · "))));
  }

  #choose(id) {
    this.#chosen = id;
    this.#mark();
    this.#changed();
  }

  #mark() {
    for (const card of this.#cards.children) {
      const chosen = card.dataset.voice === this.voice;
      card.setAttribute("aria-checked", String(chosen));
      card.tabIndex = chosen ? 0 : -1;
    }
  }

  #step(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const voices = this.#engine.info?.voices ?? [];
    if (!by || !voices.length) return;
    event.preventDefault();
    const at = voices.findIndex((voice) => voice.id === this.voice);
    this.#choose(voices[(at + by + voices.length) % voices.length].id);
    this.#cards.querySelector("[aria-checked=true]").focus();
  }
}
