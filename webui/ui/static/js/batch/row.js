// One row of a batch: what it says, with which voice and emotion, what became of it.

import { attribute, clock, el, write } from "../dom.js";
import { address } from "../library/calls.js";
import { seconds, tool } from "../library/parts.js";
import { t } from "../texts.js";
import { emotionOf, fillEmotions, fillVoices } from "./choices.js";

/** actions: change(position, fields), retry(row), listen(button, row), edit(row), save(row), use(row). */
export class Row {
  #actions;
  #engine;
  #text = el("p", { class: "tts-lib-text", dir: "auto" });
  #facts = el("p", { class: "tts-lib-hint" });
  #why = el("p", { class: "tts-batch-why", hidden: true });
  #state = el("span", { class: "tts-batch-state" });
  #voice = el("select", {});
  #emotion = el("select", {});
  #tools;
  #saving = 0;

  constructor(row, engine, actions) {
    this.row = row;
    this.#engine = engine;
    this.#actions = actions;
    this.#voice.addEventListener("change", () => actions.change(row.position, { voice: this.#voice.value || null }));
    this.#emotion.addEventListener("change", () => actions.change(row.position, { emotion: emotionOf(this.#emotion.value) }));
    this.#tools = el("div", { class: "tts-lib-tools" });
    this.node = el("li", { class: "tts-lib-item tts-batch-row", "data-position": row.position },
      el("span", { class: "tts-batch-number" }, String(row.position)),
      el("div", { class: "tts-lib-words" }, this.#text, this.#facts, this.#why),
      el("div", { class: "tts-batch-choices" }, this.#voice, this.#emotion),
      this.#state, this.#tools);
    this.translate();
  }

  /** Shows the row as it is now; what is older than that is passed over, for answers overtake each other. */
  update(row) {
    if (row.changed < this.row.changed) return;
    const before = this.row;
    this.row = row;
    if (JSON.stringify(before.request) !== JSON.stringify(row.request)) this.choices();
    this.#refresh();
  }

  /** A choice is on its way: until it has come, what was chosen stays in sight. */
  async saving(work) {
    this.#saving += 1;
    try {
      await work;
    } finally {
      this.#saving -= 1;
      this.choices();
    }
  }

  /** Says everything again in the page's language. */
  translate() {
    const name = t("batch_row", { n: this.row.position });
    this.#voice.setAttribute("aria-label", `${name}: ${t("batch_voice")}`);
    this.#emotion.setAttribute("aria-label", `${name}: ${t("emotion_label")}`);
    const listen = tool(`${name}: ${t("batch_listen")}`, "play", () => this.#actions.listen(listen, this.row), { "data-act": "listen" });
    this.#tools.replaceChildren(
      listen,
      tool(`${name}: ${t("batch_again")}`, "again", () => this.#actions.retry(this.row), { "data-act": "retry" }),
      tool(`${name}: ${t("batch_edit")}`, "edit", () => this.#actions.edit(this.row), { "data-act": "edit" }),
      tool(`${name}: ${t("batch_use")}`, "use", () => this.#actions.use(this.row), { "data-act": "use" }),
      tool(`${name}: ${t("batch_save")}`, "save", () => this.#actions.save(this.row), { "data-act": "save" }),
    );
    this.choices();
    this.#refresh();
  }

  /** The address of its sound. */
  source(job) {
    return address(`api/jobs/${job}/rows/${this.row.position}/audio`, { made: this.row.attempts });
  }

  /** The engine's voices are known, or have changed. */
  choices() {
    if (this.#saving) return;
    const { voice = "", reference = "", emotion } = this.row.request;
    fillVoices(this.#voice, this.#engine.info, voice || reference, t("batch_voice_default"));
    fillEmotions(this.#emotion, emotion);
    this.#emotion.hidden = Boolean(this.#engine.info) && !(this.#engine.info.capabilities ?? []).includes("emotion_vector");
  }

  #refresh() {
    const { row } = this;
    write(this.#text, row.request.text);
    write(this.#facts, this.#known().join(" · "));
    write(this.#state, t(`batch_row_${row.state}`));
    this.#state.dataset.state = row.state;
    const why = row.error ? [row.error.message, row.error.fix].filter(Boolean).join(" ") : "";
    this.#why.hidden = !why;
    write(this.#why, why);
    this.node.dataset.state = row.state;
    const busy = row.state === "running";
    for (const control of [this.#voice, this.#emotion]) control.disabled = busy;
    for (const control of this.#tools.children) {
      const needsSound = ["listen", "save"].includes(control.dataset.act);
      attribute(control, "disabled", needsSound ? !row.has_audio : busy || (control.dataset.act === "retry" && row.state === "queued"));
    }
  }

  #known() {
    const { row } = this;
    const { speed, duration_factor: duration } = row.request;
    return [
      row.start_s === null ? "" : `${clock(row.start_s)} → ${clock(row.end_s)}`,
      row.name,
      row.audio_s ? seconds(row.audio_s) : "",
      speed && speed !== 1 ? `× ${speed}` : "",
      duration && duration !== 1 ? t("batch_duration", { n: duration }) : "",
      row.fit?.stretch ? t("batch_stretched", { n: row.fit.stretch.toFixed(2) }) : "",
      row.fit?.speed ? t("batch_quicker", { n: row.fit.speed.toFixed(2) }) : "",
      row.fit?.findings?.length ? t("batch_findings", { list: row.fit.findings.map((kind) => t(`batch_finding_${kind}`)).join(", ") }) : "",
      row.fit?.overrun_s ? t("batch_overrun", { n: row.fit.overrun_s.toFixed(2) }) : "",
    ].filter(Boolean);
  }
}
