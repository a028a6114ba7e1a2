// The glossary: terms and how each is read in Chinese and in English.

import { el } from "../dom.js";
import { onLanguage, t } from "../texts.js";
import { address, call } from "./calls.js";
import { attempt, button, card, edit, field, Notice, opener, save, settled, tool, worded } from "./parts.js";

const SHOWN = 100;
const PARTS = ["term", "zh", "en"];

export class Glossary {
  #panel;
  #notice = new Notice();
  #terms = [];
  #limit = SHOWN;
  #search = el("input", { type: "search", maxlength: 200 });
  #body = el("tbody");
  #table;
  #count = el("p", { class: "tts-lib-hint", role: "status" });
  #more = button("library_more", null, () => {
    this.#limit += SHOWN * 5;
    this.#show();
  });
  #inputs = Object.fromEntries(PARTS.map((name) => [name, el("input", { type: "text", maxlength: 200, autocomplete: "off", required: name === "term" })]));

  constructor(panel) {
    this.#panel = panel;
    this.node = card("glossary_title");
    const exporting = button("glossary_export", "save", () => save(address("api/glossary/export")));
    const importing = opener("glossary_import", "open", ".yaml,.yml", this.node, ([file]) => this.#import(file, importing.firstChild));
    this.node.querySelector(".tts-lib-row").append(importing, exporting);
    const add = worded(el("button", { type: "submit", class: "tts-lib-button tts-lib-main" }), "glossary_add");
    const form = el("form", { class: "tts-lib-terms" }, ...PARTS.map((name) => field(`glossary_${name}`, this.#inputs[name])), add);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(add);
    });
    worded(this.#search, "glossary_search", "aria-label");
    worded(this.#search, "glossary_search", "placeholder");
    this.#search.addEventListener("input", settled(() => this.#show(), 120));
    const heads = PARTS.map((name) => worded(el("th", { scope: "col" }), `glossary_${name}`));
    this.#table = el("table", { class: "tts-lib-table" }, el("thead", {}, el("tr", {}, ...heads, el("th", {}, worded(el("span", { class: "tts-unseen" }), "library_actions")))), this.#body);
    worded(this.#table, "glossary_title", "aria-label");
    this.node.append(worded(el("p", { class: "tts-lib-hint" }), "glossary_hint"), form, this.#notice.node, this.#search, this.#count, this.#table, this.#more);
    onLanguage(() => this.#show());
  }

  /** Puts a word into the form, ready for its reading. */
  begin(term) {
    this.#inputs.term.value = term;
    this.node.scrollIntoView({ block: "nearest" });
    (/\p{Script=Han}/u.test(term) ? this.#inputs.zh : this.#inputs.en).focus();
  }

  /** Asks for the terms, and shows them. */
  async load() {
    try {
      this.#terms = (await call("api/glossary")).terms;
    } catch (error) {
      this.#notice.fail(error);
    }
    this.#show();
  }

  #show() {
    const wanted = this.#search.value.trim().toLowerCase();
    const found = this.#terms.filter((term) => PARTS.some((name) => term[name].toLowerCase().includes(wanted)));
    this.#search.hidden = this.#terms.length < 6;
    this.#table.hidden = found.length === 0;
    this.#count.textContent = this.#terms.length ? t("glossary_count", { n: found.length }) : t("glossary_empty");
    this.#more.hidden = found.length <= this.#limit;
    this.#body.replaceChildren(...found.slice(0, this.#limit).map((term) => this.#row(term)));
  }

  #row(term) {
    return el("tr", { "data-id": term.id },
      el("th", { scope: "row" }, el("bdi", {}, term.term)), el("td", {}, term.zh), el("td", {}, term.en),
      el("td", { class: "tts-lib-tools" },
        tool(t("glossary_edit", { name: term.term }), "edit", () => this.#edit(term)),
        tool(t("glossary_delete", { name: term.term }), "remove", (event) => this.#remove(event, term))));
  }

  async #add(control) {
    const entry = Object.fromEntries(PARTS.map((name) => [name, this.#inputs[name].value]));
    const done = await attempt(this.#notice, control, async () => {
      await call("api/glossary", { method: "POST", json: entry });
      for (const name of PARTS) this.#inputs[name].value = "";
      await this.load();
      this.#notice.tell(t("glossary_added", { name: entry.term }));
    });
    if (done) this.#inputs.term.focus();
  }

  #edit(term) {
    const inputs = PARTS.map((name) => el("input", { type: "text", maxlength: 200, value: term[name], required: name === "term" }));
    edit(this.#panel, t("glossary_edit", { name: term.term }), PARTS.map((name, index) => field(`glossary_${name}`, inputs[index])), async () => {
      await call(`api/glossary/${term.id}`, { method: "PATCH", json: Object.fromEntries(PARTS.map((name, index) => [name, inputs[index].value])) });
      await this.load();
    });
  }

  async #remove(event, term) {
    await attempt(this.#notice, event.currentTarget, async () => {
      await call(`api/glossary/${term.id}`, { method: "DELETE" });
      await this.load();
      this.#notice.tell(t("library_deleted", { name: term.term }));
    });
  }

  async #import(file, control) {
    await attempt(this.#notice, control, async () => {
      const done = await call("api/glossary/import", { method: "POST", body: file });
      await this.load();
      this.#notice.tell(t("glossary_imported", { added: done.added, changed: done.changed }));
    });
  }
}
