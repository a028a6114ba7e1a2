// The player: Generate and Stop, how far it is, the waveform, and replay and download at the end.

import { attribute, clock, el, icon, relabel, write } from "./dom.js";
import { Message } from "./message.js";
import { onLanguage, t } from "./texts.js";
import { fileName } from "./wav.js";
import { Waveform } from "./waveform.js";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);

/** buttons: generate and stop (elements). The state (idle, waiting, working, done, stopped, failed) is `data-state`. */
export class Player {
  #buttons;
  #take = null;
  #label = ["generate", {}];
  #status = ["player_idle", {}];
  #address = "";
  #title = el("h2", { class: "tts-unseen" });
  #words = el("p", { class: "tts-status", role: "status", "aria-live": "polite" });
  #spoken = el("p", { class: "tts-spoken", dir: "auto" });
  #canvas = el("canvas", { class: "tts-wave", role: "img" });
  #bar = el("div", { class: "tts-progress", role: "progressbar", "aria-valuemin": 0 }, el("i"));
  #audio = el("audio", { controls: true, preload: "auto" });
  #download = el("a", { class: "tts-download", role: "link", "aria-disabled": "true" });
  #downloadWords = el("span");
  #wave = new Waveform(this.#canvas);

  constructor(screen, buttons) {
    this.#buttons = buttons;
    this.#download.append(icon("M12 4v11", "M7.5 11 12 15.5 16.5 11", "M5 20h14"), this.#downloadWords);
    screen.append(this.#title);
    this.message = new Message(screen);
    screen.append(this.#words, el("div", { class: "tts-wave-frame" }, this.#canvas, this.#spoken), this.#bar,
      el("div", { class: "tts-result" }, this.#audio, this.#download));
    this.screen = screen;
    buttons.generate.setAttribute("aria-keyshortcuts", "Control+Enter Meta+Enter");
    buttons.stop.setAttribute("aria-keyshortcuts", "Escape");
    this.#canvas.addEventListener("click", (event) => this.#seek(event.offsetX / this.#canvas.clientWidth));
    this.#audio.addEventListener("play", () => this.#replay());
    new MutationObserver(() => this.#wave.redraw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.#state("idle");
    onLanguage(() => this.#translate());
  }

  /** A new take begins; what was there goes. */
  begin(take) {
    this.#take = take;
    this.message.clear();
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#audio.load();
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = "";
    attribute(this.#download, "href", null);
    attribute(this.#download, "download", null);
    this.#download.setAttribute("aria-disabled", "true");
    this.#wave.begin(take.rateHz);
    write(this.#spoken, "");
    this.#progress(0, 0);
    this.#say("player_preparing");
    this.#state("working", "generate_busy");
    requestAnimationFrame(() => this.#follow(take));
  }

  /** What a take tells while it runs. */
  view(take) {
    const mine = (work) => (...values) => take === this.#take && work(...values);
    return {
      onWaiting: mine(() => {
        this.#say("player_waiting");
        this.#state("waiting", "generate_waiting");
      }),
      onReconnecting: mine(() => {
        this.#say("player_reconnecting");
        this.#state("waiting", "generate_waiting");
      }),
      onQueue: mine((position) => position > 0 && this.#say("player_queue", { position })),
      onGrammar: mine(() => this.#say("player_grammar")),
      onStart: mine(() => {
        this.#wave.begin(take.rateHz);
        this.#state("working", "generate_busy");
        this.#working(take);
      }),
      onProgress: mine(() => this.#working(take)),
      onPcm: mine((pcm) => {
        this.#wave.push(pcm, take.expectedSeconds);
        this.#working(take);
      }),
    };
  }

  /** The take is over: `state` done, stopped or failed; what there is can be replayed and kept. */
  end(take, state) {
    if (take !== this.#take) return;
    take.finish();
    this.#wave.finish();
    const time = clock(take.seconds);
    if (state === "done") {
      this.#progress(take.segments.length, take.segments.length);
      this.#say("player_done", { time, spent: clock((performance.now() - take.startedAt) / 1000) });
    } else if (state === "stopped") this.#say(take.samples ? "player_stopped" : "player_stopped_empty", { time });
    else this.#say(take.samples ? "player_partial" : "player_idle", { time });
    this.#state(state);
    if (take.samples) this.#offer(take);
  }

  #offer(take) {
    this.#address = URL.createObjectURL(take.file());
    this.#audio.src = this.#address;
    this.#download.href = this.#address;
    this.#download.download = fileName(take.request.text, take.request.voice);
    this.#download.removeAttribute("aria-disabled");
  }

  #working(take) {
    const done = Math.max(take.begun, 0);
    this.#progress(done, take.segments.length);
    this.#say("player_working", { done, total: take.segments.length, time: clock(take.seconds) });
  }

  #progress(done, total) {
    this.#bar.setAttribute("aria-valuemax", String(Math.max(total, 1)));
    this.#bar.setAttribute("aria-valuenow", String(done));
    this.#bar.style.setProperty("--tts-share", total ? done / total : 0);
  }

  /** Moves the line in the waveform and shows the words that are heard, as long as there is something to follow. */
  #follow(take) {
    if (take !== this.#take) return;
    const live = this.#audio.paused && !this.#audio.ended;
    const { seconds, playing } = take.sound.position();
    const at = this.#audio.currentTime > 0 || !live ? this.#audio.currentTime : seconds;
    this.#wave.hear(at);
    const sounding = live && playing && !take.stopped;
    write(this.#spoken, sounding || !this.#audio.paused ? take.textAt(at) : "");
    this.#canvas.dataset.heard = at.toFixed(2);
    this.screen.dataset.clock = take.sound.clock.toFixed(2);
    this.screen.dataset.underruns = String(take.sound.underruns);
    this.screen.dataset.sounding = String(sounding);
    this.#buttons.stop.disabled = !(this.busy || sounding);
    requestAnimationFrame(() => this.#follow(take));
  }

  /** Whether a request is under way. */
  get busy() {
    return ["working", "waiting"].includes(this.screen.dataset.state);
  }

  #seek(share) {
    if (!this.#audio.src) return;
    this.#audio.currentTime = Math.min(this.#wave.at(share), this.#audio.duration || 0);
    this.#audio.play().catch(() => {});
  }

  #replay() {
    this.#take?.sound.close(); // one voice at a time
  }

  #say(key, values = {}) {
    this.#status = [key, values];
    write(this.#words, t(key, values));
  }

  #state(state, label = "generate") {
    this.screen.dataset.state = state;
    this.#label = [label, {}];
    // While it works the words change with every sound: a screen reader would speak over the speech.
    this.#words.setAttribute("aria-live", state === "working" ? "off" : "polite");
    this.#buttons.generate.disabled = this.busy;
    this.#buttons.stop.disabled = !this.busy;
    relabel(this.#buttons.generate, t(label));
  }

  #translate() {
    write(this.#title, t("player_label"));
    write(this.#downloadWords, t("download"));
    write(this.#words, t(...this.#status));
    relabel(this.#buttons.generate, t(...this.#label));
    relabel(this.#buttons.stop, t("stop"));
    this.#buttons.generate.dataset.keys = t(MAC ? "generate_keys_mac" : "generate_keys");
    this.#buttons.stop.dataset.keys = t("stop_keys");
    this.#bar.setAttribute("aria-label", t("player_progress"));
    this.#canvas.setAttribute("aria-label", t("player_waveform"));
    this.#audio.setAttribute("aria-label", t("player_listen"));
  }
}
