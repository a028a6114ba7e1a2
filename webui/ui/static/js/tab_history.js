// The tab of the history: every take, newest first; to find, hear, star, use again, save and delete.

import { el } from "./dom.js";
import { address, call, CallFailure } from "./library/calls.js";
import { Listener } from "./library/listener.js";
import { ask, attempt, button, card, Notice, prepare, save, settled, size, worded } from "./library/parts.js";
import { takeRow } from "./library/take_row.js";
import { onLanguage, pick, t } from "./texts.js";

const PAGE = 50;

export async function open(panel, context) {
  await prepare();
  const history = new History(panel, context.engine);
  return { show: (take) => history.load(take), hide: () => history.quiet() };
}

class History {
  #panel;
  #engine;
  #notice = new Notice();
  #listener = new Listener(() => this.#notice.fail(new CallFailure("sound_gone")));
  #takes = [];
  #next = null;
  #totals = null;
  #voices = new Map();
  #chosen = new Set();
  #asked = null;
  #named = null; // resolves when the voices' names are known
  #only = "";
  #search = el("input", { type: "search", maxlength: 200 });
  #filters = { starred: el("select", {}), source: el("select", {}), voice: el("select", {}) };
  #rows = el("ol", { class: "tts-lib-list tts-lib-takes" });
  #count = el("p", { class: "tts-lib-hint", role: "status" });
  #used = el("div", { class: "tts-lib-meter", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, el("i"));
  #more = button("library_more", null, () => this.#fetch(this.#next));
  // More comes by itself when the end is near; the button is for the keyboard.
  #end = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#next && !this.#more.disabled && this.#fetch(this.#next), { rootMargin: "600px" });
  #remove = button("history_delete_chosen", "remove", () => this.#removeChosen());

  constructor(panel, engine) {
    this.#panel = panel;
    this.#engine = engine;
    const zip = button("history_export_zip", "save", () => save(address("api/history/export", { ...this.#query(), ids: [...this.#chosen].join(",") })));
    const lines = button("history_export_jsonl", "save", () => save(address("api/history/export", { ...this.#query(), ids: [...this.#chosen].join(","), format: "jsonl" })));
    const node = card("history_title", this.#remove, zip, lines);
    for (const name of ["aria-label", "placeholder"]) worded(this.#search, "history_search", name);
    worded(this.#filters.starred, "history_starred", "aria-label");
    worded(this.#filters.source, "history_source", "aria-label");
    worded(this.#filters.voice, "history_voice", "aria-label");
    worded(this.#used, "history_budget", "aria-label");
    const again = () => this.load();
    this.#search.addEventListener("input", settled(again));
    for (const filter of Object.values(this.#filters)) filter.addEventListener("change", again);
    node.append(el("div", { class: "tts-lib-filters" }, this.#search, ...Object.values(this.#filters)), this.#notice.node, this.#count, this.#used, this.#rows, this.#more);
    panel.append(node);
    onLanguage(() => {
      this.#options();
      this.#show();
    });
    this.#end.observe(this.#more);
    addEventListener("tts:taken", () => !panel.hidden && this.load());
  }

  /** The newest takes that the filters leave over; with `only`, that take alone. */
  async load(only = "") {
    this.#only = only;
    this.quiet();
    this.#chosen.clear();
    this.#named = this.#nameVoices();
    await this.#fetch(null);
  }

  quiet() {
    this.#listener.stop();
  }

  #query() {
    const values = Object.fromEntries(Object.entries(this.#filters).map(([name, select]) => [name, select.value]));
    return { q: this.#search.value.trim(), ...values, ids: this.#only };
  }

  async #fetch(before) {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    this.#more.disabled = true;
    try {
      const found = await call("api/history", { query: { ...this.#query(), before, limit: PAGE }, signal: asked.signal });
      await this.#named;
      if (asked !== this.#asked) return; // something else was asked for meanwhile
      this.#totals = found;
      this.#next = found.next;
      if (before === null) this.#takes = [];
      this.#takes.push(...found.takes);
      this.#show(before === null ? 0 : this.#takes.length - found.takes.length);
      // Told anew where the end is: whoever is there already, as with the key End, has moved nothing.
      this.#end.unobserve(this.#more);
      this.#end.observe(this.#more);
    } catch (error) {
      if (error.name !== "AbortError") this.#notice.fail(error);
    } finally {
      if (asked === this.#asked) this.#more.disabled = false;
    }
  }

  async #nameVoices() {
    const stored = await call("api/voices").catch(() => ({ voices: [] }));
    this.#voices = new Map(stored.voices.map((voice) => [voice.id, voice.name]));
    for (const voice of this.#engine.info?.voices ?? []) if (!this.#voices.has(voice.id)) this.#voices.set(voice.id, pick(voice.title) || voice.id);
    this.#options();
  }

  #options() {
    const fill = (select, values) => {
      const chosen = select.value;
      select.replaceChildren(...values.map(([value, words]) => el("option", { value }, words)));
      select.value = values.some(([value]) => value === chosen) ? chosen : "";
    };
    fill(this.#filters.starred, [["", t("history_all")], ["yes", t("history_starred_yes")]]);
    fill(this.#filters.source, [["", t("history_source_all")], ["page", t("history_source_page")], ["api", t("history_source_api")]]);
    fill(this.#filters.voice, [["", t("history_voice_all")], ...this.#voices]);
  }

  /** Shows the takes from `start` on; those before it stay as they are. */
  #show(start = 0) {
    const totals = this.#totals;
    if (!totals) return;
    const share = Math.min(1, totals.used_bytes / totals.budget_bytes);
    const words = t("history_count", { n: totals.total.toLocaleString(), used: size(totals.used_bytes), budget: size(totals.budget_bytes) });
    this.#count.textContent = totals.recording ? (totals.total ? words : t("history_empty")) : `${t("history_off")} ${words}`;
    this.#used.style.setProperty("--tts-share", share);
    this.#used.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    this.#more.hidden = this.#next === null;
    this.#remove.hidden = this.#chosen.size === 0;
    const rows = this.#takes.slice(start).map((take) => takeRow(take, this.#actions(take)));
    if (start) this.#rows.append(...rows);
    else this.#rows.replaceChildren(...rows);
  }

  #actions(take) {
    return {
      voice: this.#voices.get(take.voice) ?? take.voice,
      chosen: this.#chosen.has(take.id),
      choose: (yes) => {
        this.#chosen[yes ? "add" : "delete"](take.id);
        this.#remove.hidden = this.#chosen.size === 0;
      },
      listen: (control) => {
        this.#notice.clear();
        this.#listener.toggle(control, address(`api/history/${take.id}/audio`)).catch((error) => this.#notice.fail(error));
      },
      star: (control) => attempt(this.#notice, control, async () => {
        take.starred = (await call(`api/history/${take.id}`, { method: "PATCH", json: { starred: !take.starred } })).starred;
        control.setAttribute("aria-pressed", String(take.starred));
      }),
      use: () => window.dispatchEvent(new CustomEvent("tts:use", { detail: { ...take.request, seed: take.seed } })),
      save: (format) => save(address(`api/history/${take.id}/audio`, { format })),
      remove: (control) => this.#drop([take.id], control),
    };
  }

  async #removeChosen() {
    const ids = [...this.#chosen];
    if (await ask(this.#panel, t("history_delete_question", { n: ids.length }), t("library_delete"))) await this.#drop(ids, this.#remove);
  }

  async #drop(ids, control) {
    await attempt(this.#notice, control, async () => {
      const { removed } = await call("api/history/delete", { method: "POST", json: { ids } });
      await this.load();
      this.#notice.tell(t("history_deleted", { n: removed }));
    });
  }
}
