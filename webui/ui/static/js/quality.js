// What is done about speech that sounds wrong: a choice, and what the server has found about segments.

import { el, write } from "./dom.js";
import { onLanguage, pick, t } from "./texts.js";

const WAYS = ["auto", "off", "mark", "redo"];
const [FEWEST, MOST, USUAL] = [1, 100, 8]; // webui/engine/request.py: MAX_REDOS, USUAL_REDOS

/** onChange(): a person chose. What the engine cannot do is not offered. */
export class QualityChoice {
  #engine;
  #way = el("select", { id: "tts-quality" });
  #wayLabel = el("label", { for: "tts-quality" });
  #redos = el("input", { id: "tts-redos", type: "number", min: FEWEST, max: MOST, step: 1, value: USUAL });
  #redosLabel = el("label", { for: "tts-redos" });
  #redosRow = el("div", { class: "tts-number" }, this.#redosLabel, this.#redos);
  #hint = el("p", { class: "tts-hint", id: "tts-quality-hint" });
  #wanted = "auto"; // kept while an engine that cannot do it is loaded

  constructor(engine, onChange) {
    this.#engine = engine;
    this.node = el("div", { class: "tts-quality" }, el("div", { class: "tts-number" }, this.#wayLabel, this.#way), this.#redosRow, this.#hint);
    this.#way.setAttribute("aria-describedby", "tts-quality-hint");
    this.#way.addEventListener("change", () => {
      this.#wanted = this.#way.value;
      this.#show();
      onChange();
    });
    this.#redos.addEventListener("change", () => {
      const value = Number.parseInt(this.#redos.value, 10);
      this.#redos.value = String(Number.isFinite(value) ? Math.min(Math.max(value, FEWEST), MOST) : USUAL);
      onChange();
    });
    engine.onChange(() => this.#show());
    onLanguage(() => this.#show());
  }

  /** The fields of a request, which are also what is remembered; none for what the server usually does. */
  get request() {
    const way = this.#way.value || "auto";
    if (way === "auto") return {};
    return way === "redo" ? { quality: way, redos: Number.parseInt(this.#redos.value, 10) } : { quality: way };
  }

  /** Takes over a request's fields, whatever they are. */
  use({ quality, redos }) {
    this.#wanted = WAYS.includes(quality) ? quality : "auto";
    this.#redos.value = String(Number.isInteger(redos) && redos >= FEWEST && redos <= MOST ? redos : USUAL);
    this.#show();
  }

  #show() {
    const offered = WAYS.filter((way) => way !== "redo" || (this.#engine.info?.capabilities ?? []).includes("redo"));
    this.#way.replaceChildren(...offered.map((way) => el("option", { value: way }, t(`quality_${way}`))));
    this.#way.value = offered.includes(this.#wanted) ? this.#wanted : "mark";
    this.#redosRow.hidden = this.#way.value !== "redo";
    write(this.#wayLabel, t("quality"));
    write(this.#redosLabel, t("quality_redos"));
    write(this.#hint, t(`quality_hint_${this.#way.value}`));
  }
}

/** What was found about a segment: a list of sentences, or null. */
export function findingsOf(segment) {
  const sentences = (segment.findings ?? []).map((finding) => pick(finding.words ?? {})).filter(Boolean);
  return sentences.length ? el("ul", { class: "tts-findings" }, ...sentences.map((words) => el("li", {}, words))) : null;
}

/** How many segments of a take are marked, as a sentence with what to do; empty when none is. */
export function summary({ segments }) {
  const count = segments.filter((segment) => segment.findings?.length).length;
  return count ? t("quality_marked", { count }) : "";
}
