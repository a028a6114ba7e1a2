// The text panel: what to say, its length, examples, and the sentence when something is wrong with it.

import { clock, el, enter, icon, write } from "./dom.js";
import { Message } from "./message.js";
import { onLanguage, t } from "./texts.js";

/** Texts to hear, with the mood that each is spoken in (see moods.js); "": none but what its own tags say. */
const EXAMPLES = { example_1: "cheerful", example_2: "gentle", example_3: "", example_4: "" };

/**
 * options: limit (characters), text (to begin with), onChange(text), onExample(mood) once one is there to be heard,
 * feeling() gives what is set of emotion, onBack(feeling) puts it back.
 */
export class TextPanel {
  #area;
  #limit;
  #count = el("span", { class: "tts-count" });
  #estimate = el("span", { class: "tts-estimate" });
  #expected = null;
  #before = null; // the text that an example took the place of, and the emotion
  #back = el("button", { type: "button", class: "tts-chip", hidden: true, onclick: () => this.#return() });
  #options;

  constructor(block, footer, options) {
    const { limit, text, onChange } = (this.#options = options);
    this.#area = block.querySelector("textarea");
    this.#limit = limit;
    this.#area.spellcheck = true;
    this.#area.dir = "auto";
    const examples = el("div", { class: "tts-chips", role: "group" });
    for (const name of Object.keys(EXAMPLES)) {
      examples.append(el("button", { type: "button", class: "tts-chip", "data-example": name, onclick: () => this.#replace(name) }, icon("M8 5v14l11-7z"), el("span")));
    }
    examples.append(this.#back);
    footer.append(el("div", { class: "tts-text-foot" }, examples, el("span", { class: "tts-text-facts" }, this.#estimate, this.#count)));
    this.message = new Message(footer, this.#area);
    if (text) enter(this.#area, text);
    this.#area.addEventListener("input", () => {
      this.message.clear();
      this.#showCount();
      onChange(this.text);
    });
    onLanguage(() => this.#translate(block, examples));
  }

  /** What to say, as it was typed. */
  get text() {
    return this.#area.value;
  }

  /** Characters as the server counts them: a pictograph is one. */
  get length() {
    return [...this.#area.value].length;
  }

  set text(text) {
    enter(this.#area, text);
  }

  focus() {
    this.#area.focus();
  }

  /** Shows how long it will last and take: `estimate`'s object, or null. */
  expect(expected) {
    this.#expected = expected;
    const { seconds, work } = expected ?? {};
    const about = (value) => clock(value).replace(/\.\d$/, "");
    write(this.#estimate, seconds >= 1 ? t(work === null ? "estimate" : "estimate_work", { time: about(seconds), work: about(Math.max(work, 1)) }) : "");
  }

  #replace(name) {
    // What a person wrote is one press away.
    if (this.text.trim() && !Object.keys(EXAMPLES).some((one) => t(one) === this.text)) this.#before = { text: this.text, feeling: this.#options.feeling() };
    this.#back.hidden = !this.#before;
    enter(this.#area, t(name));
    this.#options.onExample(EXAMPLES[name]);
  }

  #return() {
    const { text, feeling } = this.#before;
    enter(this.#area, text);
    this.#options.onBack(feeling);
    this.#before = null;
    this.#back.hidden = true;
    // On a phone the focus would bring up the keyboard, over what was just put there.
    if (matchMedia("(hover: hover)").matches) this.#area.focus();
  }

  #translate(block, examples) {
    const label = block.querySelector("[data-testid=block-info]");
    const words = label && [...label.childNodes].find((node) => node.nodeType === Node.TEXT_NODE);
    if (words) words.data = t("text_label");
    this.#area.placeholder = t("text_placeholder");
    this.#area.setAttribute("aria-label", t("text_label"));
    examples.setAttribute("aria-label", t("examples"));
    for (const chip of examples.querySelectorAll("[data-example]")) write(chip.querySelector("span"), t(`${chip.dataset.example}_name`));
    write(this.#back, t("example_back"));
    this.expect(this.#expected);
    this.#showCount();
  }

  #showCount() {
    const values = { count: this.length.toLocaleString(), limit: this.#limit.toLocaleString() };
    write(this.#count, t("text_count", values));
    this.#count.setAttribute("aria-label", t("text_count_label", values));
    this.#count.classList.toggle("tts-over", this.length > this.#limit);
  }
}
