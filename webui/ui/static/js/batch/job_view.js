// One batch: how far it is, what can be done with it, its rows, and what to take away.

import { el, write } from "../dom.js";
import { address, call, CallFailure } from "../library/calls.js";
import { Listener } from "../library/listener.js";
import { ask, attempt, button, Notice, save, size } from "../library/parts.js";
import { onLanguage, t } from "../texts.js";
import { editRow } from "./edit_row.js";
import { Row } from "./row.js";
import { stateOf } from "./state.js";

const PAGE = 100;
const AGAIN_MS = 2000; // until a stream is asked for anew that the browser has given up
const FORMATS = ["wav", "mp3", "flac", "opus"];
/** Which wishes make sense in which state. */
const WISHES = {
  resume: (job) => job.state === "paused",
  pause: (job) => ["running", "queued"].includes(job.state),
  cancel: (job) => ["running", "queued", "paused"].includes(job.state),
  retry: (job) => job.counts.failed + job.counts.cancelled > 0,
};

export class JobView {
  id = "";
  #panel;
  #engine;
  #hooks;
  #job = null;
  #rows = new Map();
  #stream = null;
  #again = 0;
  #news = new Map(); // what the stream told of rows that are not shown yet
  #told = "";
  #notice = new Notice();
  #listener = new Listener(() => this.#notice.fail(new CallFailure("no_sound")));
  #title = el("h2", { id: "tts-batch-title", tabindex: -1, dir: "auto" });
  #bar = el("div", { class: "tts-progress", role: "progressbar", "aria-valuemin": 0 }, el("i"));
  #words = el("p", { class: "tts-status" });
  #live = el("p", { class: "tts-unseen", role: "status" });
  #note = el("p", { class: "tts-lib-notice", "data-kind": "failure", hidden: true });
  #problems = el("details", { class: "tts-batch-problems", hidden: true }, el("summary"), el("ul"));
  #wishes = {};
  #format = el("select", { class: "tts-lib-format" }, ...FORMATS.map((name) => el("option", { value: name }, name.toUpperCase())));
  #away;
  #list = el("ol", { class: "tts-lib-list tts-batch-rows" });
  #more = button("library_more", null, () => this.#do(() => this.#fetch(this.#rows.size)));

  /** hooks: onChange(job), onGone(). */
  constructor(panel, engine, hooks) {
    this.#panel = panel;
    this.#engine = engine;
    this.#hooks = hooks;
    this.#wishes = {
      resume: button("batch_start", "play", () => this.#wish("resume"), "main"),
      pause: button("batch_pause", "pause", () => this.#wish("pause")),
      cancel: button("batch_cancel", "stop", () => this.#cancel()),
      retry: button("batch_retry", "again", () => this.#wish("retry")),
      remove: button("library_delete", "remove", () => this.#remove()),
    };
    for (const [name, node] of Object.entries(this.#wishes)) node.dataset.wish = name;
    const down = (key, path, query) => button(key, "save", () => save(address(`api/jobs/${this.id}/${path}`, query())));
    const format = () => ({ format: this.#format.value });
    this.#away = el("div", { class: "tts-lib-row tts-batch-away", role: "group" }, this.#format,
      down("batch_zip", "zip", format), down("batch_joined", "joined", format),
      down("batch_srt", "subtitles", () => ({ format: "srt" })), down("batch_vtt", "subtitles", () => ({ format: "vtt" })));
    this.node = el("section", { class: "tts-panel tts-lib-card tts-batch-job", "aria-labelledby": "tts-batch-title", hidden: true },
      el("div", { class: "tts-lib-head" }, this.#title, el("div", { class: "tts-lib-row" }, ...Object.values(this.#wishes))),
      this.#bar, this.#words, this.#live, this.#note, this.#notice.node, this.#problems, this.#away, this.#list, this.#more);
    engine.onChange(() => this.#voices());
    onLanguage(() => {
      this.#format.setAttribute("aria-label", t("batch_format"));
      this.#away.setAttribute("aria-label", t("batch_take_away"));
      this.#list.setAttribute("aria-label", t("batch_rows"));
      for (const row of this.#rows.values()) row.translate();
      if (this.#job) this.#show();
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#close() : this.#panel.hidden || this.#follow()));
  }

  /** Shows a batch and follows it. */
  async open(id) {
    if (id !== this.id) {
      this.id = id;
      this.#told = "";
      this.#rows.clear();
      this.#news.clear();
      this.#list.replaceChildren();
      this.#listener.stop();
      this.#close();
    }
    this.#notice.clear();
    try {
      const job = await call(`api/jobs/${id}`);
      if (id !== this.id) return; // another one was chosen meanwhile
      this.#job = job;
      this.#since = 0;
      if (!this.#rows.size) await this.#fetch(0);
      if (id !== this.id) return;
      this.node.hidden = false;
      this.#show();
      this.#follow();
    } catch (error) {
      if (id !== this.id) return;
      this.#job = null;
      this.id = "";
      this.node.hidden = true;
      if (error.code !== "no_such_job") throw error;
      this.#hooks.onGone();
    }
  }

  #since = 0;

  /** Puts the keyboard where the batch begins. */
  focus() {
    this.node.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    this.#title.focus({ preventScroll: true });
  }

  /** The tab is not seen: nothing is followed, nothing sounds. */
  quiet() {
    this.#listener.stop();
    this.#close();
  }

  #close() {
    clearTimeout(this.#again);
    this.#stream?.close();
    this.#stream = null;
  }

  #follow() {
    this.#close();
    if (!this.id || this.#panel.hidden || document.hidden) return;
    const id = this.id;
    const stream = new EventSource(address(`api/jobs/${id}/events`, { since: this.#since }));
    this.#stream = stream;
    stream.addEventListener("rows", (event) => JSON.parse(event.data).forEach((row) => this.#tellRow(row)));
    stream.addEventListener("job", (event) => {
      this.#job = JSON.parse(event.data);
      this.#show();
      this.#hooks.onChange(this.#job);
    });
    stream.addEventListener("removed", () => this.#gone());
    // A browser gives a stream up when the answer is none, as while the page's server restarts.
    stream.addEventListener("error", () => {
      if (stream === this.#stream && stream.readyState === EventSource.CLOSED) this.#again = setTimeout(() => this.#resume(id), AGAIN_MS);
    });
  }

  async #resume(id) {
    try {
      await call(`api/jobs/${id}`);
    } catch (error) {
      if (id === this.id && error.code === "no_such_job") return this.#gone();
    }
    if (id === this.id) this.#follow();
  }

  #tellRow(row) {
    const shown = this.#rows.get(row.position);
    if (shown) shown.update(row);
    else this.#news.set(row.position, row);
  }

  async #fetch(offset) {
    const id = this.id;
    const page = await call(`api/jobs/${id}/rows`, { query: { offset, limit: PAGE } });
    if (id !== this.id) return;
    const actions = {
      change: (position, fields) => this.#change(position, fields),
      retry: (row) => this.#do(() => call(`api/jobs/${id}/rows/${row.position}/retry`, { method: "POST" })),
      listen: (control, row) => this.#listener.toggle(control, this.#rows.get(row.position).source(id)),
      edit: (row) => editRow(this.#panel, row, this.#engine, (fields) => this.#patch(row.position, fields)),
      use: (row) => dispatchEvent(new CustomEvent("tts:use", { detail: { ...row.request, seed: row.seed ?? row.request.seed } })),
      save: (row) => save(address(`api/jobs/${id}/rows/${row.position}/audio`, { format: this.#format.value })),
    };
    this.#since ||= page.changed;
    for (const row of page.data) {
      if (this.#rows.has(row.position)) continue;
      const shown = new Row(row, this.#engine, actions);
      if (this.#news.has(row.position)) shown.update(this.#news.get(row.position)); // it may have overtaken this answer
      this.#news.delete(row.position);
      this.#rows.set(row.position, shown);
      this.#list.append(shown.node);
    }
    this.#more.hidden = this.#rows.size >= page.total;
  }

  #voices() {
    const known = this.#engine.info?.voices?.map((voice) => voice.id).join() ?? "";
    if (known === this.#known) return;
    this.#known = known;
    for (const row of this.#rows.values()) row.choices();
  }

  #known = "";

  #show() {
    const { counts, state, audio_s: audio, size_bytes: bytes, eta_s: eta, note, problem_count: wrong, problems, overruns } = this.#job;
    write(this.#title, this.#job.title);
    const ended = counts.done + counts.failed + counts.cancelled;
    this.#bar.style.setProperty("--tts-share", counts.total ? ended / counts.total : 0);
    this.#bar.setAttribute("aria-valuemax", counts.total);
    this.#bar.setAttribute("aria-valuenow", ended);
    this.#bar.setAttribute("aria-label", t("batch_progress"));
    const words = [
      stateOf(this.#job),
      t("batch_done_of", { done: counts.done, total: counts.total }),
      counts.failed ? t("batch_failed", { n: counts.failed }) : "",
      overruns ? t("batch_overruns", { n: overruns }) : "",
      audio ? t("batch_audio", { time: span(audio), size: size(bytes) }) : "",
      eta ? t("batch_left", { time: span(eta) }) : "",
      this.#job.waiting_for ?? "",
    ];
    write(this.#words, words.filter(Boolean).join(" · "));
    this.#tell(state, ended, counts);
    this.#note.hidden = !note;
    write(this.#note, note ? [note.message, note.fix].filter(Boolean).join(" ") : "");
    this.#problems.hidden = !wrong;
    write(this.#problems.firstChild, t("batch_problems", { n: wrong }));
    this.#problems.lastChild.replaceChildren(...problems.map((one) => el("li", {}, [one.line ? t("batch_line", { n: one.line }) : "", one.message, one.fix].filter(Boolean).join(" "))));
    for (const [name, wanted] of Object.entries(WISHES)) this.#wishes[name].hidden = !wanted(this.#job);
    write(this.#wishes.resume.querySelector("span"), t(ended ? "batch_resume" : "batch_start"));
    this.#away.hidden = !bytes;
  }

  /** For screen readers: what the batch does, and each quarter of it; every row would be too much. */
  #tell(state, ended, counts) {
    const quarter = Math.floor((4 * ended) / Math.max(counts.total, 1));
    const key = `${state} ${quarter}`;
    if (key === this.#told) return;
    this.#told = key;
    write(this.#live, `${stateOf(this.#job)}. ${t("batch_done_of", { done: counts.done, total: counts.total })}`);
  }

  #change(position, fields) {
    return this.#rows.get(position).saving(this.#do(() => this.#patch(position, fields)));
  }

  async #patch(position, fields) {
    const id = this.id;
    const row = await call(`api/jobs/${id}/rows/${position}`, { method: "PATCH", json: fields });
    if (id === this.id) this.#rows.get(position)?.update(row);
  }

  #do(work) {
    return attempt(this.#notice, {}, work);
  }

  #wish(name) {
    return attempt(this.#notice, this.#wishes[name], async () => {
      const job = await call(`api/jobs/${this.id}/${name}`, { method: "POST" });
      this.#hooks.onChange(job);
      if (job.id !== this.id) return; // another one was chosen meanwhile
      this.#job = job;
      this.#show();
    });
  }

  async #cancel() {
    if (await ask(this.#panel, t("batch_cancel_sure"), t("batch_cancel"))) await this.#wish("cancel");
  }

  async #remove() {
    if (!(await ask(this.#panel, t("batch_delete_sure", { name: this.#job.title }), t("library_delete")))) return;
    const id = this.id;
    await attempt(this.#notice, this.#wishes.remove, async () => {
      await call(`api/jobs/${id}`, { method: "DELETE" });
      if (id === this.id) this.#gone();
      else this.#hooks.onGone(); // another one was chosen meanwhile
    });
  }

  #gone() {
    this.quiet();
    this.id = "";
    this.#job = null;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.node.hidden = true;
    this.#hooks.onGone();
  }
}

/** Seconds in words: people plan by minutes. */
function span(value) {
  if (value < 60) return t("batch_seconds", { n: Math.ceil(value) });
  if (value < 5400) return t("batch_minutes", { n: Math.round(value / 60) });
  return t("batch_hours", { n: (value / 3600).toFixed(1) });
}
