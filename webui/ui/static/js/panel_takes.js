// The takes: newest first, each to be heard, kept, used again, and two of them side by side.

import { Compare } from "./compare.js";
import { clock, el, icon, write } from "./dom.js";
import { plain } from "./tags.js";
import { currentLanguage, onLanguage, pick, t } from "./texts.js";

const SIDES = ["A", "B"];

/** options: onShow(take), onUse(take), onQuiet() before a comparison sounds. */
export class TakesPanel {
  #store;
  #engine;
  #options;
  #sides = [null, null];
  #shown = null;
  #compare = new Compare();
  #title = el("h2", { id: "tts-takes-title" });
  #hint = el("p", { class: "tts-hint" });
  #rows = el("ul", { class: "tts-takes", "aria-labelledby": "tts-takes-title" });
  #play = el("button", { type: "button", class: "tts-chip", id: "tts-compare-play", onclick: () => this.#toggle() });
  #switch = el("button", { type: "button", class: "tts-chip", id: "tts-compare-switch", onclick: () => this.#hear(1 - this.#compare.heard) });
  #clock = el("span", { class: "tts-compare-clock" });
  #bar;

  constructor(panel, store, engine, options) {
    this.#store = store;
    this.#engine = engine;
    this.#options = options;
    this.#bar = el("div", { class: "tts-compare", role: "group", hidden: true }, this.#play, this.#switch, this.#clock);
    panel.append(this.#title, this.#hint, this.#bar, this.#rows);
    this.panel = panel;
    store.onChange(() => this.#list());
    engine.onChange(() => engine.info !== this.#listedFor && this.#list());
    onLanguage(() => this.#list());
  }

  #listedFor = null;

  /** Which take the player shows. */
  show(take) {
    this.#shown = take;
    this.#list();
  }

  /** Silence, because something else is heard. */
  quiet() {
    this.#compare.stop();
    this.#follow();
  }

  #list() {
    this.#listedFor = this.#engine.info;
    const takes = this.#store.takes;
    this.panel.hidden = takes.length === 0;
    this.#sides = this.#sides.map((side) => (takes.includes(side) ? side : null));
    write(this.#title, t("takes"));
    write(this.#hint, t("takes_hint"));
    const focus = document.activeElement?.closest?.(".tts-take") ? document.activeElement.dataset.key : null;
    this.#rows.replaceChildren(...takes.map((take) => this.#row(take)));
    if (focus) [...this.#rows.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focus)?.focus();
    this.#bar.hidden = this.#sides.includes(null);
    this.#bar.setAttribute("aria-label", t("takes_compare"));
    this.#follow();
  }

  #row(take) {
    const words = plain(take.request.text).trim();
    const act = (key, paths, label, onclick, pressed) =>
      el("button", { type: "button", class: "tts-mini", "data-key": `${take.id}/${key}`, "aria-label": `${label}: ${words.slice(0, 40)}`, title: label, "aria-pressed": pressed === undefined ? null : String(pressed), onclick }, typeof paths === "string" ? paths : icon(...paths));
    return el("li", { class: "tts-take", "data-shown": take === this.#shown },
      act("play", ["M8 5v14l11-7z"], t("takes_play"), () => this.#options.onShow(take)),
      el("div", { class: "tts-take-words" }, el("span", { class: "tts-take-text", dir: "auto" }, words), el("span", { class: "tts-take-facts" }, this.#facts(take))),
      el("div", { class: "tts-take-tools" },
        ...SIDES.map((side, at) => act(side, side, t("takes_side", { side }), () => this.#choose(at, take), this.#sides[at] === take)),
        act("star", ["m12 4 2.5 5.1 5.6.8-4 4 .9 5.6-5-2.7-5 2.7 1-5.6-4.1-4 5.6-.8z"], t("takes_star"), () => this.#store.star(take, !take.starred), take.starred),
        act("use", ["M5 12h13", "m12 6 6 6-6 6"], t("takes_use"), () => this.#options.onUse(take)),
        act("remove", ["M6 6l12 12", "M18 6 6 18"], t("takes_remove"), () => this.#store.remove(take))));
  }

  #facts(take) {
    const voice = this.#engine.info?.voices.find((one) => one.id === take.request.voice);
    const time = new Date(take.createdAt).toLocaleTimeString(currentLanguage(), { hour: "2-digit", minute: "2-digit" });
    const seed = take.seed === null || take.seed === undefined ? "" : `${t("seed")} ${take.seed}`;
    return [time, clock(take.seconds), pick(voice?.title) || take.request.voice, seed].filter(Boolean).join(" · ");
  }

  #choose(at, take) {
    const other = 1 - at;
    if (this.#sides[other] === take) this.#sides[other] = null;
    this.#sides[at] = this.#sides[at] === take ? null : take;
    this.#compare.stop();
    this.#list();
  }

  #toggle() {
    if (this.#compare.playing) this.#compare.stop();
    else {
      this.#options.onQuiet();
      this.#compare.play(this.#sides, this.#compare.position);
    }
    this.#follow();
  }

  #hear(which) {
    this.#compare.hear(which);
    this.#follow();
  }

  #follow() {
    const { playing, heard, position } = this.#compare;
    write(this.#play, t(playing ? "takes_pause" : "takes_play_both"));
    write(this.#switch, t("takes_heard", { side: SIDES[heard] }));
    write(this.#clock, clock(position));
    this.#bar.dataset.heard = SIDES[heard];
    this.#bar.dataset.playing = String(playing);
    if (playing) requestAnimationFrame(() => this.#follow());
  }
}
