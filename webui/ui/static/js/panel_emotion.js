// The emotion panel: eight sliders, the intensity of the whole, named moods, and the radar that follows them.

import { el, icon, write } from "./dom.js";
import { Message } from "./message.js";
import { Radar } from "./radar.js";
import { Slider } from "./slider.js";
import { onLanguage, t } from "./texts.js";

/** Mixtures that are heard as one mood; each sums to 1 at most, so that no engine has to scale it down. */
const MOODS = {
  cheerful: { happy: 0.7, surprised: 0.15 },
  gentle: { happy: 0.2, calm: 0.7 },
  thrilled: { happy: 0.45, surprised: 0.55 },
  furious: { angry: 0.9, disgusted: 0.1 },
  gloomy: { sad: 0.35, melancholic: 0.6 },
  frightened: { afraid: 0.85, surprised: 0.1 },
};

/** parts: panel, moods, radar, intensity and emotions (elements); options: emotion, intensity, onChange(). */
export class EmotionPanel {
  #parts;
  #sliders = {};
  #chips = el("div", { class: "tts-chips", role: "group" });
  #title = el("h2", { id: "tts-emotion-title" });
  #reset = el("button", { type: "button", class: "tts-quiet", id: "tts-emotion-reset" });
  #resetWords = el("span");
  #radar;
  #setting = false;
  #onChange;

  constructor(parts, { emotion, intensity, onChange }) {
    this.#parts = parts;
    this.#onChange = onChange;
    this.#radar = new Radar(parts.radar, Object.keys(parts.emotions));
    for (const [name, block] of Object.entries(parts.emotions)) {
      block.dataset.emotion = name;
      this.#sliders[name] = new Slider(block, () => this.#moved());
    }
    this.#sliders.intensity = new Slider(parts.intensity, () => this.#moved());
    this.#reset.append(icon("M4 4v6h6", "M4.5 10a8 8 0 1 1-.5 4"), this.#resetWords);
    this.#reset.addEventListener("click", () => this.set({}, 1));
    for (const name of Object.keys(MOODS)) {
      this.#chips.append(el("button", { type: "button", class: "tts-chip", "data-mood": name, onclick: () => this.set(MOODS[name]) }));
    }
    parts.moods.append(el("div", { class: "tts-panel-head" }, this.#title, this.#reset), this.#chips);
    this.message = new Message(parts.panel);
    this.set(emotion, intensity);
    onLanguage(() => this.#translate());
  }

  /** The values that are not zero, by name. */
  get emotion() {
    const values = {};
    for (const name of Object.keys(this.#parts.emotions)) {
      if (this.#sliders[name].value > 0) values[name] = this.#sliders[name].value;
    }
    return values;
  }

  /** The factor on all of them. */
  get intensity() {
    return this.#sliders.intensity.value;
  }

  /** Whether the engine takes emotions; the panel is there only then. */
  set available(yes) {
    this.#parts.panel.hidden = !yes;
  }

  get available() {
    return !this.#parts.panel.hidden;
  }

  /** Sets the sliders; names that are missing become zero. Values from storage may be anything. */
  set(emotion, intensity = this.intensity) {
    this.#setting = true;
    for (const name of Object.keys(this.#parts.emotions)) {
      this.#sliders[name].value = Number.isFinite(emotion?.[name]) ? emotion[name] : 0;
    }
    this.#sliders.intensity.value = Number.isFinite(intensity) ? intensity : 1;
    this.#setting = false;
    this.#moved();
  }

  #moved() {
    if (this.#setting) return;
    this.message?.clear();
    this.#draw();
    this.#onChange?.(this.emotion, this.intensity);
  }

  #draw() {
    const names = Object.keys(this.#parts.emotions);
    const emotion = this.emotion;
    const values = names.map((name) => emotion[name] ?? 0);
    const words = Object.entries(emotion).map(([name, value]) => `${t(`emotion_${name}`)} ${value}`);
    this.#radar.draw(values, this.intensity, words.length ? t("emotion_radar", { values: words.join(", ") }) : t("emotion_radar_none"));
    for (const chip of this.#chips.children) {
      chip.setAttribute("aria-pressed", String(same(MOODS[chip.dataset.mood], emotion)));
    }
  }

  #translate() {
    write(this.#title, t("emotion_label"));
    write(this.#resetWords, t("emotion_reset"));
    this.#chips.setAttribute("aria-label", t("moods"));
    for (const chip of this.#chips.children) write(chip, t(`mood_${chip.dataset.mood}`));
    for (const [name, slider] of Object.entries(this.#sliders)) slider.setLabel(t(`emotion_${name}`));
    this.#radar.setLabels(Object.keys(this.#parts.emotions).map((name) => t(`emotion_${name}`)));
    this.#draw();
  }
}

function same(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Math.abs(a[name] - (b[name] ?? 0)) < 0.001);
}
