// What is seldom set: how an engine draws speech, and how long it lasts. Every control is there only when the engine
// takes it, and only what was set is sent.

import { el, write } from "./dom.js";
import { QualityChoice } from "./quality.js";
import { onLanguage, t } from "./texts.js";

/** Name, smallest, largest, step, and what the official page begins with. */
const NUMBERS = [
  ["temperature", 0.1, 2, 0.1, 0.8],
  ["top_p", 0.01, 1, 0.01, 0.8],
  ["top_k", 0, 100, 1, 30],
  ["num_beams", 1, 10, 1, 3],
  ["repetition_penalty", 0.1, 20, 0.1, 10],
  ["length_penalty", -2, 2, 0.1, 0],
  ["max_mel_tokens", 50, 1815, 10, 1500],
  ["segment_tokens", 20, 600, 2, 120],
];
const DURATION = ["duration_factor", 0.5, 2, 0.01, 1];

/** options: values (to begin with: what was set, by name), open, onChange(values), onOpen(yes). */
export class AdvancedPanel {
  #engine;
  #values = {};
  #rows = new Map();
  #onChange;
  #title = el("h2");
  #reset = el("button", { type: "button", class: "tts-quiet", onclick: () => this.#clear() });
  #draw = el("input", { type: "checkbox", id: "tts-do-sample" });
  #drawWords = el("label", { for: "tts-do-sample" });
  #drawing;
  #quality;

  constructor(panel, engine, { values, open, onChange, onOpen }) {
    this.#engine = engine;
    this.#onChange = onChange;
    this.panel = panel;
    this.#drawing = el("div", { class: "tts-generation" }, el("span", { class: "tts-check" }, this.#draw, this.#drawWords));
    const duration = this.#row(...DURATION);
    for (const number of NUMBERS) this.#drawing.append(this.#row(...number));
    this.#quality = new QualityChoice(engine, () => this.#tell());
    const details = el("details", { open }, el("summary", {}, this.#title), this.#quality.node, duration, this.#drawing, this.#reset);
    details.addEventListener("toggle", () => onOpen(details.open));
    panel.append(details);
    panel.hidden = true;
    this.#draw.addEventListener("change", () => this.#set("do_sample", this.#draw.checked ? undefined : false));
    this.#fill(values);
    engine.onChange(() => this.#offer());
    onLanguage(() => this.#translate());
  }

  /** The fields of a request: only what was set and what the engine takes. */
  get request() {
    const { duration_factor: duration, ...generation } = this.#values;
    const request = { ...this.#quality.request };
    if (this.#can("duration") && duration !== undefined) request.duration_factor = duration;
    if (this.#can("generation_parameters") && Object.keys(generation).length) request.generation = generation;
    return request;
  }

  /** Takes over a request's values; what it does not set is the engine's again. */
  use({ generation, duration_factor: duration, quality, redos }) {
    if ([generation, duration, quality].every((value) => value === undefined)) return;
    this.#fill({ ...(typeof generation === "object" ? generation : {}), duration_factor: duration, quality, redos });
    this.#tell();
  }

  #tell() {
    this.#onChange({ ...this.#values, ...this.#quality.request });
  }

  #fill(values) {
    this.#values = {};
    for (const [name, { input, low, high, initial }] of this.#rows) {
      const value = values?.[name];
      const known = Number.isFinite(value) && value >= low && value <= high;
      if (known) this.#values[name] = value;
      input.value = String(known ? value : initial);
      input.parentElement.classList.toggle("tts-own", known);
    }
    this.#draw.checked = values?.do_sample !== false;
    if (values?.do_sample === false) this.#values.do_sample = false;
    this.#quality.use(values ?? {});
  }

  #row(name, low, high, step, initial) {
    const label = el("label", { for: `tts-${name}` });
    const input = el("input", { id: `tts-${name}`, type: "number", min: low, max: high, step, value: initial });
    this.#rows.set(name, { label, input, low, high, initial });
    input.addEventListener("change", () => {
      const value = Number.parseFloat(input.value);
      const kept = Number.isFinite(value) ? Math.min(Math.max(value, low), high) : undefined;
      input.value = String(kept ?? initial);
      input.parentElement.classList.toggle("tts-own", kept !== undefined);
      this.#set(name, kept);
    });
    return el("div", { class: "tts-number" }, label, input);
  }

  #set(name, value) {
    if (value === undefined) delete this.#values[name];
    else this.#values[name] = value;
    this.#tell();
  }

  #clear() {
    this.#fill({});
    this.#tell();
  }

  #can(word) {
    return (this.#engine.info?.capabilities ?? []).includes(word);
  }

  #offer() {
    const [draws, lasts] = [this.#can("generation_parameters"), this.#can("duration")];
    this.panel.hidden = !this.#engine.info;
    this.#drawing.hidden = !draws;
    this.#reset.hidden = !draws && !lasts;
    this.#rows.get("duration_factor").input.parentElement.hidden = !lasts;
  }

  #translate() {
    write(this.#title, t("advanced"));
    write(this.#reset, t("advanced_reset"));
    write(this.#drawWords, t("generation_do_sample"));
    for (const [name, { label }] of this.#rows) write(label, t(`generation_${name}`));
  }
}
