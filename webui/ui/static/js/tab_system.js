// The System tab: processes, memory and load of the last hour, disks and models, mirrors, errors, work, and the log.
// Everybody may look; buttons and the log are the owner's.

import { el, write } from "./dom.js";
import { Message } from "./message.js";
import { onLanguage, t } from "./texts.js";
import { bytes, percent } from "./system/amounts.js";
import { button, Card, empty, refill } from "./system/card.js";
import { Knowledge } from "./system/knowledge.js";
import { Plot, roundAbove } from "./system/plot.js";
import { disks, errands, errors, logLines, mirrors, models, nameOf, processes, repos } from "./system/rows.js";

/** Called once, when the tab is opened for the first time. */
export function open(panel, context) {
  const system = new System(panel, context.engine);
  return { show: () => system.knowledge.show(), hide: () => system.knowledge.hide() };
}

class System {
  #engine;
  #cards = {};
  #plots = [new Plot(), new Plot()];
  #note = el("p", { class: "tts-sys-note", role: "note" });
  #log = el("pre", { class: "tts-sys-log", tabindex: 0 });
  #verifyAll = button(() => t("system_verify_all"), () => this.knowledge.send("verify"), { hidden: true });
  #onlyErrors;
  #message;

  constructor(panel, engine) {
    this.#engine = engine;
    this.knowledge = new Knowledge(() => this.#draw());
    this.#onlyErrors = button(() => t("system_only_errors"), () => this.#filterLog(), { "aria-pressed": "false" });
    const cards = {
      processes: new Card("system_processes"),
      plots: new Card("system_load_title"),
      errors: new Card("system_errors"),
      errands: new Card("system_work"),
      disks: new Card("system_disks"),
      models: new Card("system_models", this.#verifyAll),
      mirrors: new Card("system_mirrors"),
      repos: new Card("system_cache"),
      log: new Card("system_log", this.#onlyErrors),
    };
    this.#cards = cards;
    cards.plots.body.append(...this.#plots.map((plot) => plot.node));
    cards.log.body.append(this.#log);
    const column = (...names) => el("div", { class: "tts-sys-column" }, ...names.map((name) => cards[name].node));
    const pair = el("div", { class: "tts-sys-pair" }, column("processes", "errors", "errands", "disks"), column("plots", "mirrors"));
    const root = el("div", { class: "tts-sys tts-sys-column" }, this.#note, pair, ...["models", "repos", "log"].map((name) => cards[name].node));
    panel.append(root);
    this.#message = new Message(root);
    engine.onChange(() => !panel.hidden && this.#draw());
    onLanguage(() => this.#draw());
  }

  #filterLog() {
    const only = this.#onlyErrors.getAttribute("aria-pressed") !== "true";
    this.#onlyErrors.setAttribute("aria-pressed", String(only));
    this.knowledge.logLevel = only ? "ERROR" : "";
    this.knowledge.refreshLog();
  }

  #draw() {
    const { knowledge } = this;
    const cards = this.#cards;
    const snapshot = this.#engine.snapshot;
    this.#note.hidden = knowledge.owner || !knowledge.figures;
    write(this.#note, t("system_read_only"));
    refill(cards.processes.body, processes(snapshot, this.#engine.info, knowledge));
    refill(cards.disks.body, disks(knowledge.figures));
    refill(cards.models.body, models(knowledge));
    refill(cards.mirrors.body, mirrors(knowledge.look, knowledge.figures));
    refill(cards.repos.body, repos(knowledge.look));
    refill(cards.errors.body, errors(snapshot, knowledge));
    const work = errands(knowledge);
    cards.errands.node.hidden = work.length === 0;
    refill(cards.errands.body, work);
    cards.repos.node.hidden = !knowledge.look?.repos?.length && !knowledge.look?.cache_error;
    this.#verifyAll.hidden = !knowledge.owner;
    this.#verifyAll.disabled = knowledge.errands.some((one) => one.kind === "verify" && one.state === "running");
    this.#drawPlots();
    this.#drawLog();
    if (knowledge.failure) this.#message.show([knowledge.failure.message, knowledge.failure.fix].filter(Boolean).join(" "));
    else this.#message.clear();
  }

  #drawPlots() {
    const history = this.knowledge.figures?.history;
    if (!history?.at.length) return;
    const at = history.at;
    const last = (values) => values.at(-1) ?? 0;
    if (history.gpus.length) {
      const top = Math.max(...history.gpus.map((gpu) => gpu.total_bytes));
      const memory = history.gpus.flatMap((gpu) => [
        { name: t("system_gpu_used", { name: gpu.name }), values: gpu.used_bytes, now: bytes(last(gpu.used_bytes)) },
        { name: t("system_gpu_own", { name: gpu.name }), values: gpu.own_bytes, now: bytes(last(gpu.own_bytes)) },
      ]);
      this.#plots[0].show({ title: t("system_vram"), top, topWords: bytes(top), at, series: memory });
      const load = history.gpus.map((gpu) => ({ name: gpu.name, values: gpu.load, now: gpu.load.at(-1) == null ? "–" : percent(gpu.load.at(-1)) }));
      this.#plots[1].show({ title: t("system_gpu_load"), top: 1, topWords: percent(1), at, series: load });
      return;
    }
    const parts = Object.entries(history.resident_bytes).map(([name, values]) => ({ name: nameOf(name), values, now: bytes(last(values)) }));
    const top = roundAbove(Math.max(...parts.flatMap((one) => one.values)));
    this.#plots[0].show({ title: t("system_memory"), top, topWords: bytes(top), at, series: parts });
    const cores = roundAbove(Math.max(1, ...history.cpu));
    const now = t("system_cores", { n: last(history.cpu).toFixed(2) });
    this.#plots[1].show({ title: t("system_cpu"), top: cores, topWords: t("system_cores", { n: cores }), at, series: [{ name: t("system_all_processes"), values: history.cpu, now }] });
  }

  #drawLog() {
    this.#cards.log.node.hidden = !this.knowledge.owner;
    if (!this.knowledge.owner) return;
    this.#log.setAttribute("aria-label", t("system_log"));
    // Whoever reads further up is left there; at the end new lines push on.
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    const lines = logLines(this.knowledge.log);
    refill(this.#log, lines.length ? lines : [empty(t("system_log_empty"))]);
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }
}
