// The card of all batches, newest first.

import { attribute, el } from "../dom.js";
import { call } from "../library/calls.js";
import { card, Notice, when, worded } from "../library/parts.js";
import { onLanguage, t } from "../texts.js";
import { stateOf } from "./state.js";

const SHOWN = 12;

export class JobList {
  node = card("batch_jobs");
  #jobs = [];
  #chosen = "";
  #open;
  #notice = new Notice();
  #empty = worded(el("p", { class: "tts-lib-hint", hidden: true }), "batch_none");
  #list = el("ul", { class: "tts-lib-list tts-batch-jobs" });

  /** onOpen(id): a person chose a batch. */
  constructor(onOpen) {
    this.#open = onOpen;
    this.node.append(this.#notice.node, this.#empty, this.#list);
    onLanguage(() => this.#show());
  }

  /** The id of one that is under way, or empty. */
  get running() {
    return this.#jobs.find((job) => ["running", "queued", "paused"].includes(job.state))?.id ?? "";
  }

  async load() {
    this.#notice.clear();
    try {
      this.#jobs = (await call("api/jobs", { query: { limit: SHOWN } })).data;
    } catch (error) {
      this.#notice.fail(error);
    }
    this.#show();
  }

  /** Shows what became of one. */
  update(job) {
    const at = this.#jobs.findIndex((one) => one.id === job.id);
    if (at < 0) return;
    this.#jobs[at] = job;
    this.#show();
  }

  /** Says why one could not be shown. */
  fail(error) {
    this.#notice.fail(error);
  }

  choose(id) {
    this.#chosen = id;
    this.#show();
  }

  #show() {
    this.#empty.hidden = this.#jobs.length > 0;
    const known = new Map([...this.#list.children].map((node) => [node.dataset.id, node]));
    const nodes = this.#jobs.map((job) => known.get(job.id) ?? this.#item(job));
    if (nodes.length !== this.#list.children.length || nodes.some((node, at) => this.#list.children[at] !== node)) this.#list.replaceChildren(...nodes);
    nodes.forEach((node, at) => this.#refresh(node, this.#jobs[at]));
  }

  #item(job) {
    const words = el("span", { class: "tts-lib-words" }, el("span", { class: "tts-lib-name", dir: "auto" }, job.title), el("span", { class: "tts-lib-hint" }));
    const opener = el("button", { type: "button", class: "tts-batch-open", onclick: () => this.#open(job.id) }, words, el("span", { class: "tts-batch-state" }));
    return el("li", { "data-id": job.id }, opener);
  }

  #refresh(node, job) {
    const [hint, state] = [node.querySelector(".tts-lib-hint"), node.querySelector(".tts-batch-state")];
    hint.textContent = `${when(job.created_at)} · ${t("batch_done_of", { done: job.counts.done, total: job.counts.total })}`;
    state.textContent = stateOf(job);
    state.dataset.state = job.state;
    attribute(node.firstChild, "aria-current", job.id === this.#chosen ? "true" : null);
  }
}
