// The list of voices: the engine's own and those of the library; to hear, use, describe, give on and delete.

import { el } from "../dom.js";
import { has, pick, t } from "../texts.js";
import { address, call, CallFailure } from "./calls.js";
import { Listener } from "./listener.js";
import { act, ask, attempt, button, card, edit, field, opener, save, seconds, settled, tool, when, worded } from "./parts.js";
import { findingWords } from "./source.js";

export class VoiceList {
  #panel;
  #engine;
  #notice;
  #stored = [];
  #listener;
  #search = el("input", { type: "search", maxlength: 80 });
  #rows = el("ul", { class: "tts-lib-list" });
  #count = el("p", { class: "tts-lib-hint", role: "status" });

  constructor(panel, engine, notice) {
    this.#panel = panel;
    this.#engine = engine;
    this.#notice = notice;
    this.#listener = new Listener(() => notice.fail(new CallFailure("no_sound")));
    this.node = card("voices_title");
    const exporting = button("voices_export", "save", () => save(address("api/voices/export", { ids: this.#wanted().map((voice) => voice.id).join(",") })));
    const importing = opener("voices_import", "open", ".zip", this.node, ([file]) => this.#import(file, importing.firstChild));
    this.node.querySelector(".tts-lib-row").append(importing, exporting);
    worded(this.#search, "voices_search", "aria-label");
    worded(this.#search, "voices_search", "placeholder");
    this.#search.addEventListener("input", settled(() => this.show(), 120));
    this.node.append(this.#search, notice.node, this.#count, this.#rows);
  }

  /** Asks for the library's voices, and shows them. */
  async load() {
    try {
      this.#stored = (await call("api/voices")).voices;
    } catch (error) {
      this.#notice.fail(error);
    }
    this.show();
  }

  quiet() {
    this.#listener.stop();
  }

  /** Shows what the search leaves over. */
  show() {
    const stored = this.#wanted();
    const ids = new Set(this.#stored.map((voice) => voice.id));
    const own = (this.#engine.info?.voices ?? []).filter((voice) => !ids.has(voice.id) && this.#matches(Object.values(voice.title).concat(voice.id)));
    this.quiet();
    this.#count.textContent = t("voices_count", { own: stored.length, builtin: own.length });
    this.#rows.replaceChildren(...stored.map((voice) => this.#storedRow(voice)), ...own.map((voice) => this.#ownRow(voice)));
  }

  get #clones() {
    return (this.#engine.info?.capabilities ?? []).includes("clone");
  }

  #wanted() {
    return this.#stored.filter((voice) => this.#matches([voice.name, voice.id, voice.consent, ...voice.tags]));
  }

  #matches(texts) {
    const words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return words.every((word) => texts.some((text) => text.toLowerCase().includes(word)));
  }

  #storedRow(voice) {
    const { name } = voice;
    const facts = [seconds(voice.duration_s), language(voice.language), t("voices_uses", { n: voice.uses })];
    if (voice.last_used_at) facts.push(t("voices_last_used", { time: when(voice.last_used_at) }));
    const warnings = voice.findings.filter((finding) => finding.severity === "warning").map(findingWords);
    const listen = tool(t("voices_listen", { name }), "play", () => this.#hear(listen, address(`api/voices/${voice.id}/audio`)));
    return row(voice.id, name, [voice.default ? badge(t("voices_default")) : null, ...voice.tags.map((tag) => badge(tag, "tag"))],
      [facts.filter(Boolean).join(" · "), voice.consent && t("voices_consent_note", { note: voice.consent }), ...warnings],
      [this.#clones && this.#useTool(voice.id, name), listen,
        tool(t("voices_make_default", { name }), "star", (event) => this.#change(event, voice, { default: !voice.default }), { "aria-pressed": String(voice.default) }),
        tool(t("voices_edit", { name }), "edit", () => this.#edit(voice)),
        tool(t("voices_delete", { name }), "remove", (event) => this.#remove(event, voice))]);
  }

  #ownRow(voice) {
    const name = pick(voice.title) || voice.id;
    const listen = tool(t("voices_listen", { name }), "play", () => this.#hear(listen, () => this.#sample(voice)));
    return row(voice.id, name, [badge(t("voices_builtin"))], [[t(`voice_${voice.gender}`), ...voice.languages.map(language)].join(" · ")], [this.#useTool(voice.id, name), listen]);
  }

  #useTool(id, name) {
    return act(t("library_use"), t("voices_use", { name }), () => window.dispatchEvent(new CustomEvent("tts:use", { detail: { voice: id } })));
  }

  async #hear(listen, source) {
    this.#notice.clear();
    try {
      await this.#listener.toggle(listen, source);
    } catch (error) {
      this.#notice.fail(error);
    }
  }

  /** A sentence in a voice of the engine's, which has no recording; no take is kept of it. */
  async #sample(voice) {
    const body = { input: t("voices_sample"), voice: voice.id, response_format: "wav", keep: false };
    const answer = await fetch(address("v1/audio/speech"), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new CallFailure("", (await answer.json().catch(() => ({}))).error);
    return answer.blob();
  }

  #edit(voice) {
    const name = el("input", { type: "text", maxlength: 80, required: true, value: voice.name });
    const tags = el("input", { type: "text", maxlength: 400, value: voice.tags.join(", ") });
    const spoken = el("select", {}, ...["", ...(this.#engine.info?.languages ?? ["zh", "en"])].map((code) => el("option", { value: code }, code ? language(code) : t("voices_language_any"))));
    spoken.value = voice.language;
    const consent = el("textarea", { rows: 3, maxlength: 1000 });
    consent.value = voice.consent;
    const fields = [field("voices_name", name), field("voices_tags", tags, "voices_tags_hint"), field("voices_language", spoken), field("voices_consent", consent, "voices_consent_hint")];
    edit(this.#panel, t("voices_edit", { name: voice.name }), fields, async () => {
      await call(`api/voices/${voice.id}`, { method: "PATCH", json: { name: name.value, tags: tags.value, language: spoken.value, consent: consent.value } });
      await this.#changed();
    });
  }

  async #change(event, voice, changes) {
    await attempt(this.#notice, event.currentTarget, async () => {
      await call(`api/voices/${voice.id}`, { method: "PATCH", json: changes });
      await this.#changed();
      this.#rows.querySelector(`[data-id="${voice.id}"] [aria-pressed]`)?.focus();
    });
  }

  async #remove(event, voice) {
    const control = event.currentTarget;
    if (!(await ask(this.#panel, t("voices_delete_question", { name: voice.name }), t("library_delete")))) return;
    await attempt(this.#notice, control, async () => {
      await call(`api/voices/${voice.id}`, { method: "DELETE" });
      await this.#changed();
      this.#notice.tell(t("library_deleted", { name: voice.name }));
    });
  }

  async #import(file, control) {
    await attempt(this.#notice, control, async () => {
      const done = await call("api/voices/import", { method: "POST", body: file });
      await this.#changed();
      const refused = done.refused.map((one) => `${one.name}: ${one.message}`);
      this.#notice.tell([t("voices_imported", { added: done.added.length, known: done.known.length }), ...refused].join(" "));
    });
  }

  async #changed() {
    await Promise.all([this.load(), this.#engine.refresh()]);
  }
}

const language = (code) => (code ? (has(`language_${code}`) ? t(`language_${code}`) : code) : "");

const badge = (text, kind = "state") => el("span", { class: "tts-lib-badge", "data-kind": kind }, text);

function row(id, name, badges, facts, tools) {
  return el("li", { class: "tts-lib-item", "data-id": id },
    el("span", { class: "tts-face", "aria-hidden": "true" }, [...name][0] ?? "?"),
    el("div", { class: "tts-lib-words" },
      el("p", { class: "tts-lib-name" }, el("bdi", {}, name), ...badges),
      ...facts.filter(Boolean).map((fact) => el("p", { class: "tts-lib-hint" }, fact))),
    el("div", { class: "tts-lib-tools" }, ...tools.filter(Boolean)));
}
