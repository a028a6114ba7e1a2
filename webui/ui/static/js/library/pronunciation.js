// How words are read: what the engine says it will speak, and readings written in the notations that engines take.

import { el } from "../dom.js";
import { has, onLanguage, pick, t } from "../texts.js";
import { call } from "./calls.js";
import { button, card, field, Notice, settled, worded } from "./parts.js";

const LANGUAGES = ["auto", "zh", "en", "ja"];
const NOTATIONS = ["pinyin", "cmu", "kana"];
// The forms of IndexTTS: pinyin with a tone from 1 to 5, the phones of the CMU dictionary, kana of one kind.
const SYLLABLE = /^(?:(?:[bpmfdtnlgkhjqxzcsryw]|[zcs]h)?(?:[aeiouüv]|[ae]i|u[aio]|ao|ou|i[aue]|[uüv]e|[uvü]ang?|uai|[aeiuv]n|[aeio]ng|ia[no]|i[ao]ng|i?ong)r?|ng|er)[1-5]$/i;
const PHONE = /^(?:(?:AA|AE|AH|AO|AW|AY|EH|ER|EY|IH|IY|OW|OY|UH|UW)[012]|B|CH|DH?|F|G|HH|JH|K|L|M|NG?|P|R|SH?|TH?|V|W|Y|ZH?|\.)$/;
const CHECKS = {
  pinyin: (reading) => reading.split(/\s+/).every((part) => SYLLABLE.test(part)),
  cmu: (reading) => reading.toUpperCase().split(/\s+/).every((part) => PHONE.test(part)),
  kana: (reading) => /^(?:[\u3040-\u309fー]+|[\u30a0-\u30ff]+)$/.test(reading.replace(/\s+/g, "")),
};

export class Pronunciation {
  #engine;
  #toGlossary;
  #notice = new Notice();
  #text = el("input", { type: "text", maxlength: 200, autocomplete: "off" });
  #language = el("select", {});
  #words = el("ol", { class: "tts-lib-readings", "aria-live": "polite" });
  #checked = el("p", { class: "tts-lib-hint", role: "status" });
  #notation = el("select", {});
  #reading = el("input", { type: "text", maxlength: 200, autocomplete: "off", spellcheck: "false" });
  #valid = el("p", { class: "tts-lib-hint", role: "status" });
  #mark = el("output", { class: "tts-lib-mark" });
  #result = null;
  #asked = null;
  #ask = settled(() => this.#check(), 300);

  /** toGlossary(word) is called when a word is to get a reading in the glossary. */
  constructor(engine, toGlossary) {
    this.#engine = engine;
    this.#toGlossary = toGlossary;
    this.node = card("pronunciation_title");
    const copy = button("pronunciation_copy", "copy", () => this.#copy());
    const glossary = button("pronunciation_glossary", "add", () => this.#toGlossary(this.#text.value.trim()));
    this.node.append(
      worded(el("p", { class: "tts-lib-hint" }), "pronunciation_hint"),
      el("div", { class: "tts-lib-pair" }, field("pronunciation_text", this.#text), field("pronunciation_language", this.#language)),
      this.#checked, this.#words,
      el("div", { class: "tts-lib-pair" }, field("pronunciation_reading", this.#reading), field("pronunciation_notation", this.#notation)),
      this.#valid, el("div", { class: "tts-lib-row" }, this.#mark, copy, glossary), this.#notice.node);
    this.#text.addEventListener("input", this.#ask);
    this.#language.addEventListener("change", () => this.#check());
    for (const input of [this.#reading, this.#notation]) input.addEventListener("input", () => this.#validate());
    onLanguage(() => {
      this.#options(this.#language, LANGUAGES, (code) => t(`language_${code}`));
      this.#options(this.#notation, NOTATIONS, (name) => t(`pronunciation_${name}`));
      this.#show();
    });
  }

  #options(select, values, words) {
    const chosen = select.value || values[0];
    select.replaceChildren(...values.map((value) => el("option", { value }, words(value))));
    select.value = chosen;
  }

  /** Asks the engine how it would read the text. */
  async #check() {
    this.#asked?.abort();
    this.#notice.clear();
    const text = this.#text.value.trim();
    this.#result = null;
    if (text) {
      this.#asked = new AbortController();
      try {
        this.#result = await call("api/readings", { method: "POST", json: { text, language: this.#language.value }, signal: this.#asked.signal });
      } catch (error) {
        if (error.name === "AbortError") return;
        this.#notice.fail(error);
      }
      const found = this.#result?.readings ?? [];
      if (found.length && !this.#reading.value) {
        this.#notation.value = found[0].notation;
        this.#reading.placeholder = found.map((word) => word.reading).join(" ");
      }
    }
    this.#show();
  }

  #show() {
    const result = this.#result;
    const engine = pick(this.#engine.info?.title) || result?.engine || "";
    const words = !result ? "" : !result.checked ? t("pronunciation_not_checked", { engine }) : result.readings.length ? t("pronunciation_checked", { engine }) : t("pronunciation_nothing", { engine });
    this.#checked.textContent = words;
    this.#checked.dataset.checked = String(Boolean(result?.checked));
    this.#words.replaceChildren(...(result?.readings ?? []).map((word) =>
      el("li", {}, el("bdi", { lang: word.language }, word.text), el("span", { title: has(`pronunciation_${word.notation}`) ? t(`pronunciation_${word.notation}`) : null }, word.reading))));
    this.#validate();
  }

  #validate() {
    const reading = this.#reading.value.trim();
    const notation = this.#notation.value;
    const good = reading !== "" && CHECKS[notation](reading);
    this.#valid.textContent = !reading ? t(`pronunciation_example_${notation}`) : good ? t("pronunciation_valid") : t("pronunciation_invalid", { notation: t(`pronunciation_${notation}`) });
    this.#valid.dataset.good = reading ? String(good) : "";
    const word = this.#text.value.trim();
    this.#mark.textContent = good && word ? `<${word}|${notation === "kana" ? reading : reading.toUpperCase()}>` : "";
  }

  async #copy() {
    if (!this.#mark.textContent) return;
    try {
      await navigator.clipboard.writeText(this.#mark.textContent);
      this.#notice.tell(t("pronunciation_copied"));
    } catch {
      getSelection().selectAllChildren(this.#mark); // no clipboard outside of https: it is selected, ready for the keys
    }
  }
}
