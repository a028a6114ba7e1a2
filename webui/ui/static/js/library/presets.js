// Presets: the settings of the Speak tab under a name; to load, rename, overwrite, give on and delete.

import { el } from "../dom.js";
import { onLanguage, t } from "../texts.js";
import { address, call } from "./calls.js";
import { act, ask, attempt, card, edit, field, Notice, opener, save, tick, tool, when, worded } from "./parts.js";

/** What the Speak tab shows now, as the body of a request. */
function shown() {
  const asked = { request: {} };
  window.dispatchEvent(new CustomEvent("tts:ask", { detail: asked }));
  return asked.request;
}

export class Presets {
  #panel;
  #notice = new Notice();
  #presets = [];
  #rows = el("ul", { class: "tts-lib-list" });
  #empty = worded(el("p", { class: "tts-lib-hint" }), "presets_empty");
  #name = el("input", { type: "text", maxlength: 80, required: true, autocomplete: "off" });
  #withText = tick("presets_with_text");

  constructor(panel) {
    this.#panel = panel;
    this.node = card("presets_title");
    const importing = opener("presets_import", "open", ".json,.zip", this.node, (files) => this.#import(files, importing.firstChild), { multiple: true });
    this.node.querySelector(".tts-lib-row").append(importing);
    const keep = worded(el("button", { type: "submit", class: "tts-lib-button tts-lib-main" }), "presets_save");
    const form = el("form", { class: "tts-lib-form" }, field("presets_name", this.#name, "presets_hint"), this.#withText.node, el("div", { class: "tts-lib-row" }, keep));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep(keep);
    });
    this.node.append(form, this.#notice.node, this.#empty, this.#rows);
    onLanguage(() => this.#show());
  }

  /** Asks for the presets, and shows them. */
  async load() {
    try {
      this.#presets = (await call("api/presets")).presets;
    } catch (error) {
      this.#notice.fail(error);
    }
    this.#show();
  }

  #show() {
    this.#empty.hidden = this.#presets.length > 0;
    this.#rows.replaceChildren(...this.#presets.map((preset) => this.#row(preset)));
  }

  #row(preset) {
    const { id, name } = preset;
    return el("li", { class: "tts-lib-item", "data-id": id },
      el("div", { class: "tts-lib-words" },
        el("p", { class: "tts-lib-name" }, el("bdi", {}, name), preset.has_text ? el("span", { class: "tts-lib-badge", "data-kind": "tag" }, t("presets_has_text")) : null),
        el("p", { class: "tts-lib-hint" }, t("presets_updated", { time: when(preset.updated_at) }))),
      el("div", { class: "tts-lib-tools" },
        act(t("library_use"), t("presets_load", { name }), (event) => this.#use(event, preset)),
        tool(t("presets_overwrite", { name }), "keep", (event) => this.#overwrite(event, preset)),
        tool(t("presets_rename", { name }), "edit", () => this.#rename(preset)),
        tool(t("presets_share", { name }), "save", () => this.#share(preset)),
        tool(t("presets_delete", { name }), "remove", (event) => this.#remove(event, preset))));
  }

  #state(withText) {
    const request = shown();
    if (!withText) delete request.text;
    return { request };
  }

  async #keep(control) {
    const name = this.#name.value;
    await attempt(this.#notice, control, async () => {
      await call("api/presets", { method: "POST", json: { name, state: this.#state(this.#withText.input.checked) } });
      this.#name.value = "";
      await this.load();
      this.#notice.tell(t("presets_saved", { name }));
    });
  }

  async #use(event, preset) {
    await attempt(this.#notice, event.currentTarget, async () => {
      const { state } = await call(`api/presets/${preset.id}`);
      window.dispatchEvent(new CustomEvent("tts:use", { detail: state.request ?? {} }));
    });
  }

  async #overwrite(event, preset) {
    const control = event.currentTarget;
    if (!(await ask(this.#panel, t("presets_overwrite_question", { name: preset.name }), t("presets_overwrite_yes")))) return;
    await attempt(this.#notice, control, async () => {
      await call(`api/presets/${preset.id}`, { method: "PATCH", json: { state: this.#state(preset.has_text) } });
      await this.load();
      this.#notice.tell(t("presets_saved", { name: preset.name }));
    });
  }

  #rename(preset) {
    const name = el("input", { type: "text", maxlength: 80, required: true, value: preset.name });
    edit(this.#panel, t("presets_rename", { name: preset.name }), [field("presets_name", name)], async () => {
      await call(`api/presets/${preset.id}`, { method: "PATCH", json: { name: name.value } });
      await this.load();
    });
  }

  async #share(preset) {
    const text = preset.has_text && (await ask(this.#panel, t("presets_share_question"), t("presets_share_text"))) ? "yes" : "no";
    save(address(`api/presets/${preset.id}/file`, { text }));
  }

  async #remove(event, preset) {
    const control = event.currentTarget;
    if (!(await ask(this.#panel, t("presets_delete_question", { name: preset.name }), t("library_delete")))) return;
    await attempt(this.#notice, control, async () => {
      await call(`api/presets/${preset.id}`, { method: "DELETE" });
      await this.load();
      this.#notice.tell(t("library_deleted", { name: preset.name }));
    });
  }

  async #import(files, control) {
    await attempt(this.#notice, control, async () => {
      const said = [];
      let count = 0;
      for (const file of files) {
        const done = await call("api/presets/import", { method: "POST", query: { name: file.name.replace(/\.[^.]*$/, "").slice(0, 80) }, body: file });
        count += done.presets.length;
        if (done.voices.length) said.push(t("presets_imported_voices", { n: done.voices.length }));
        said.push(...done.notes, ...done.refused.map((one) => `${one.name}: ${one.message}`));
      }
      await this.load();
      this.#notice.tell([t("presets_imported", { n: count }), ...said].join(" "));
    });
  }
}
