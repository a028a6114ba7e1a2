// The emotion panel: where the emotion comes from, eight sliders with the radar that follows them, the intensity of
// the whole, and named moods. What the engine cannot do is not there.

import { el, icon, write } from "./dom.js";
import { Message } from "./message.js";
import { MOODS } from "./moods.js";
import { Radar } from "./radar.js";
import { Slider } from "./slider.js";
import { onLanguage, pick, t } from "./texts.js";

/** Where an emotion may come from, and the capability of the engine that it needs. */
const WAYS = { voice: "", recording: "emotion_reference", vector: "emotion_vector", text: "emotion_text" };
const LONGEST_DESCRIPTION = 1000;
const DRAG_STEP = 0.05;

/** parts: panel, moods, body, radar, intensity and emotions (elements); options: values (to begin with), onChange(). */
export class EmotionPanel {
  #parts;
  #engine;
  #sliders = {};
  #chips = el("div", { class: "tts-chips", role: "group" });
  #title = el("h2", { id: "tts-emotion-title" });
  #reset = el("button", { type: "button", class: "tts-quiet", id: "tts-emotion-reset", onclick: () => this.set({}, 1) });
  #dice = el("button", { type: "button", class: "tts-quiet", id: "tts-emotion-random", onclick: () => this.set(anyEmotion()) });
  #words = { reset: el("span"), dice: el("span") };
  #ways = el("div", { class: "tts-switch tts-ways", role: "radiogroup", onkeydown: (event) => this.#step(event) });
  #hint = el("p", { class: "tts-hint" });
  #recording = el("select", { id: "tts-emotion-recording", onchange: () => this.#moved() });
  #own; // a recording that was sent for now: {id, name, seconds}, or null
  #ownPlace = el("div", { class: "tts-emotion-own" });
  #opened = null; // resolves when a recording can be given
  #description = el("textarea", { id: "tts-emotion-text", rows: 2, dir: "auto", maxlength: LONGEST_DESCRIPTION, oninput: () => this.#moved() });
  #random = el("input", { type: "checkbox", id: "tts-random-emotion", onchange: () => this.#moved() });
  #randomWords = el("label", { for: "tts-random-emotion" });
  #radar;
  #setting = false;
  #way;
  #wanted;
  #shownFor = null;
  #onChange;

  constructor(parts, engine, { values, onChange }) {
    this.#parts = parts;
    this.#engine = engine;
    this.#onChange = onChange;
    this.#way = values.way in WAYS ? values.way : "vector";
    this.#wanted = values.recording;
    this.#own = typeof values.own?.id === "string" && Number.isFinite(values.own.seconds) ? values.own : null;
    this.#description.value = values.text;
    this.#random.checked = values.random;
    const names = Object.keys(parts.emotions);
    this.#radar = new Radar(parts.radar, names, (at, value) => (this.#sliders[names[at]].value = Math.round(value / DRAG_STEP) * DRAG_STEP));
    for (const [name, block] of Object.entries(parts.emotions)) {
      block.dataset.emotion = name;
      this.#sliders[name] = new Slider(block, () => this.#moved());
    }
    this.#sliders.intensity = new Slider(parts.intensity, () => this.#moved());
    this.#reset.append(icon("M4 4v6h6", "M4.5 10a8 8 0 1 1-.5 4"), this.#words.reset);
    this.#dice.append(icon("M4 4h16v16H4z", "M8.5 8.5v.01M15.5 8.5v.01M12 12v.01M8.5 15.5v.01M15.5 15.5v.01"), this.#words.dice);
    for (const name of Object.keys(MOODS)) {
      this.#chips.append(el("button", { type: "button", class: "tts-chip", "data-mood": name, onclick: () => this.set(MOODS[name]) }));
    }
    for (const way of Object.keys(WAYS)) {
      this.#ways.append(el("button", { type: "button", role: "radio", "data-way": way, onclick: () => this.#choose(way) }));
    }
    const buttons = el("div", { class: "tts-head-buttons" }, this.#dice, this.#reset);
    parts.moods.append(el("div", { class: "tts-panel-head" }, this.#title, buttons), this.#ways, this.#hint, this.#recording, this.#ownPlace, this.#description, this.#chips);
    parts.panel.append(el("span", { class: "tts-check", hidden: true }, this.#random, this.#randomWords));
    this.message = new Message(parts.panel);
    this.set(values.emotion, values.intensity);
    engine.onChange(() => engine.info && engine.info !== this.#shownFor && this.#offer());
    onLanguage(() => this.#translate());
  }

  /** The fields of a request. */
  get request() {
    if (!this.available) return {};
    const { intensity, emotion } = this;
    const felt = Object.keys(emotion).length > 0;
    if (this.way === "recording") return { emotion_mode: "recording", emotion_reference: this.#recording.value, intensity };
    if (this.way === "text") return { emotion_mode: "text", emotion_text: this.#description.value, intensity };
    if (this.way === "voice" || (this.#choice && !felt)) return { emotion_mode: "voice" };
    return { emotion, intensity, ...(felt && this.#random.checked && this.#can("random_emotion") ? { random_emotion: true } : {}) };
  }

  /** All that is set here, whatever of it is in use: what the page remembers, and what `put` takes. */
  get state() {
    const { emotion, intensity } = this;
    return { emotion, intensity, way: this.#way, recording: this.#recording.value || this.#wanted || "", text: this.#description.value, random: this.#random.checked, own: this.#own };
  }

  /** Sets all of it. */
  put({ emotion, intensity, way, recording, text, random }) {
    this.#description.value = text;
    this.#recording.value = this.#wanted = recording;
    this.#random.checked = random;
    this.#way = way;
    this.#arrange();
    this.set(emotion, intensity);
  }

  /** Sets the sliders to a mood; "" is neutral. */
  feel(mood) {
    if (this.available && this.#can("emotion_vector")) this.put({ ...this.state, way: "vector", emotion: MOODS[mood] ?? {}, intensity: 1 });
  }

  /** Where the emotion comes from now. */
  get way() {
    return this.#can(WAYS[this.#way]) ? this.#way : "vector";
  }

  /** The sliders that are not zero, by name. */
  get emotion() {
    const values = {};
    for (const name of Object.keys(this.#parts.emotions)) {
      if (this.#sliders[name].value > 0) values[name] = this.#sliders[name].value;
    }
    return values;
  }

  /** The factor on the whole. */
  get intensity() {
    return this.#sliders.intensity.value;
  }

  /** Whether the engine takes emotions; the panel is there only then. */
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

  /** Takes over what a request says of emotion. */
  use({ emotion, intensity, emotion_mode: mode, emotion_text: text, emotion_reference: recording, random_emotion: random }) {
    if (typeof text === "string") this.#description.value = text;
    if (typeof recording === "string") this.#recording.value = this.#wanted = recording;
    if (typeof random === "boolean") this.#random.checked = random;
    if (mode in WAYS && mode !== "voice") this.#way = mode;
    else if (mode === "voice" || mode === "auto" || emotion) this.#way = mode === "voice" && this.#choice ? "voice" : text ? "text" : recording ? "recording" : "vector";
    if (emotion || mode === "voice") this.set(emotion ?? {}, intensity ?? 1);
    else if (Number.isFinite(intensity)) this.set(this.emotion, intensity);
    this.#arrange();
  }

  #can(word) {
    return !word || (this.#engine.info?.capabilities ?? []).includes(word);
  }

  /** Whether there is a choice of ways at all: with sliders alone, sliders at zero are the voice as it is. */
  get #choice() {
    return this.#can("emotion_reference") || this.#can("emotion_text");
  }

  #choose(way) {
    this.#way = way;
    this.#arrange();
    this.#moved();
  }

  #step(event) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const ways = [...this.#ways.children].filter((button) => !button.hidden).map((button) => button.dataset.way);
    this.#choose(ways[(ways.indexOf(this.way) + by + ways.length) % ways.length]);
    this.#ways.querySelector("[aria-checked=true]").focus();
  }

  #offer() {
    this.#shownFor = this.#engine.info;
    this.#parts.panel.hidden = !this.#can("emotion_vector") && !this.#choice;
    this.#list(this.#recording.value || this.#wanted);
    this.#arrange();
  }

  /** What an emotion may be heard from: a recording that was sent for now, and every voice. */
  #list(chosen) {
    const voices = (this.#engine.info?.voices ?? []).map((voice) => el("option", { value: voice.id }, pick(voice.title) || voice.id));
    const words = ({ name, seconds }) => t("emotion_recording_own", { name: name || t("emotion_recording_unnamed"), s: seconds.toFixed(1) });
    if (this.#own) voices.unshift(el("option", { value: this.#own.id }, words(this.#own)));
    this.#recording.replaceChildren(el("option", { value: "" }, t("emotion_recording_none")), ...voices);
    this.#recording.value = chosen ?? "";
    if (this.#recording.selectedIndex < 0) this.#recording.value = "";
  }

  /** What gives a recording for now is loaded when it is first wanted. */
  async #openOwn() {
    const { EmotionRecording, prepare } = await import("./library/emotion_recording.js");
    await prepare();
    const given = new EmotionRecording(this.#own, (own) => {
      this.#own = own;
      this.#wanted = own?.id ?? "";
      this.#list(this.#wanted);
      this.#moved();
    });
    this.#ownPlace.replaceChildren(given.node);
  }

  #arrange() {
    const { way } = this;
    this.#ways.hidden = this.#hint.hidden = !this.#choice;
    for (const button of this.#ways.children) {
      const chosen = button.dataset.way === way;
      button.hidden = !this.#can(WAYS[button.dataset.way]);
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    write(this.#hint, t(`emotion_hint_${way}`));
    this.#recording.hidden = this.#ownPlace.hidden = way !== "recording";
    if (way === "recording") this.#opened ??= this.#openOwn().catch(() => (this.#opened = null)); // the next press tries again
    this.#description.hidden = way !== "text";
    this.#chips.hidden = this.#parts.body.hidden = this.#dice.hidden = way !== "vector";
    this.#parts.intensity.hidden = way === "voice";
    this.#random.parentElement.hidden = way !== "vector" || !this.#can("random_emotion");
  }

  #moved() {
    if (this.#setting) return;
    this.message?.clear();
    this.#draw();
    this.#onChange?.(this.state);
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
    write(this.#words.reset, t("emotion_reset"));
    write(this.#words.dice, t("emotion_dice"));
    write(this.#randomWords, t("emotion_random"));
    this.#ways.setAttribute("aria-label", t("emotion_ways"));
    for (const button of this.#ways.children) write(button, t(`emotion_way_${button.dataset.way}`));
    this.#recording.setAttribute("aria-label", t("emotion_way_recording"));
    this.#description.setAttribute("aria-label", t("emotion_way_text"));
    this.#description.placeholder = t("emotion_text_placeholder");
    this.#chips.setAttribute("aria-label", t("moods"));
    for (const chip of this.#chips.children) write(chip, t(`mood_${chip.dataset.mood}`));
    for (const [name, slider] of Object.entries(this.#sliders)) slider.setLabel(t(`emotion_${name}`));
    this.#radar.setLabels(Object.keys(this.#parts.emotions).map((name) => t(`emotion_${name}`)));
    if (this.#engine.info) this.#offer();
    else this.#arrange();
    this.#draw();
  }
}

/** One emotion or two, of any strength. */
function anyEmotion() {
  const names = ["happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm"];
  const [first, second] = names.sort(() => Math.random() - 0.5);
  const steps = (largest) => Math.round((Math.random() * largest) / DRAG_STEP) * DRAG_STEP;
  const main = 0.3 + steps(0.6);
  return { [first]: main, [second]: Math.random() < 0.5 ? Math.min(steps(0.4), 1 - main) : 0 };
}

function same(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Math.abs(a[name] - (b[name] ?? 0)) < 0.001);
}
