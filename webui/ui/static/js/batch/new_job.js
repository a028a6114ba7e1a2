// The card that makes a batch: drop a file, choose one, or paste text.

import { el } from "../dom.js";
import { call } from "../library/calls.js";
import { attempt, button, card, field, Notice, opener, worded } from "../library/parts.js";
import { onLanguage, t } from "../texts.js";
import { fillVoices } from "./choices.js";

const ACCEPT = ".jsonl,.ndjson,.json,.csv,.tsv,.txt,.md,.markdown,.srt,.vtt";

export class NewJob {
  node = card("batch_new");
  #made;
  #notice = new Notice();
  #text = el("textarea", { rows: 5, dir: "auto" });
  #voice = el("select", {});
  #gap = el("input", { type: "number", min: 0, max: 60, step: 0.1, value: 0.5, inputmode: "decimal" });
  #make = button("batch_make", "add", () => this.#take(new Blob([this.#text.value]), ""), "main");

  /** onMade(job): called with the new job. */
  constructor(engine, onMade) {
    this.#made = onMade;
    const zone = el("div", { class: "tts-lib-dropzone" });
    const open = opener("batch_open", "open", ACCEPT, this.node, ([file]) => this.#take(file, file.name));
    zone.append(worded(el("p", {}), "batch_drop"), worded(el("p", { class: "tts-lib-hint" }), "batch_kinds"), open);
    worded(this.#text, "batch_paste_hint", "placeholder");
    this.#text.addEventListener("input", () => this.#refresh());
    const options = el("div", { class: "tts-batch-pair" }, field("batch_voice", this.#voice), field("batch_gap", this.#gap));
    this.node.append(zone, field("batch_paste", this.#text), options, el("div", { class: "tts-lib-row" }, this.#make), this.#notice.node);
    const voices = () => fillVoices(this.#voice, engine.info, this.#voice.value, t("batch_voice_default"));
    engine.onChange(voices);
    onLanguage(voices);
    this.#refresh();
  }

  #refresh() {
    this.#make.disabled = !this.#text.value.trim();
  }

  async #take(content, name) {
    // It waits until the person has looked at the table: `start` is no.
    const query = { name: name || t("batch_pasted"), start: "no", gap_s: Number(this.#gap.value) || 0 };
    if (this.#voice.value) query.defaults = JSON.stringify({ voice: this.#voice.value });
    const done = await attempt(this.#notice, this.#make, async () => {
      const body = new Blob([content], { type: "application/octet-stream" });
      const job = await call("api/jobs", { method: "POST", query, body });
      if (!name) this.#text.value = "";
      await this.#made(job);
    });
    if (done) this.#refresh();
  }
}
