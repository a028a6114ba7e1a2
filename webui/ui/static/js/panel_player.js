// The player: Generate and Stop, how far it is, the waveform, and replay and download at the end.

import { attribute, clock, el, icon, relabel, write } from "./dom.js";
import { recall, remember } from "./memory.js";
import { Message } from "./message.js";
import { FORMATS, fileOf } from "./takefile.js";
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
  #format = el("select", { class: "tts-format" });
  #even = el("input", { type: "checkbox", id: "tts-even" });
  #evenWords = el("label", { for: "tts-even" });
  #until = Infinity; // where playing one segment ends
  #onHeard;
  #wave = new Waveform(this.#canvas);

  /** onHeard(index): which segment is heard, -1 for none. */
  constructor(screen, buttons, onHeard) {
    this.#buttons = buttons;
    this.#onHeard = onHeard;
    this.#format.append(...FORMATS.map((name) => el("option", { value: name }, name === "opus" ? "Opus" : name.toUpperCase())));
    this.#format.value = FORMATS.includes(recall("format", "wav")) ? recall("format", "wav") : "wav";
    this.#even.checked = recall("even", false);
    for (const control of [this.#format, this.#even]) control.addEventListener("change", () => this.#choose());
    this.#download.addEventListener("click", (event) => this.#save(event));
    this.#download.append(icon("M12 4v11", "M7.5 11 12 15.5 16.5 11", "M5 20h14"), this.#downloadWords);
    screen.append(this.#title);
    this.message = new Message(screen);
    screen.append(this.#words, el("div", { class: "tts-wave-frame" }, this.#canvas, this.#spoken), this.#bar,
      el("div", { class: "tts-result" }, this.#audio,
        el("div", { class: "tts-saving" }, this.#download, this.#format, el("span", { class: "tts-check" }, this.#even, this.#evenWords))));
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
    this.#empty(take);
    this.#progress(0, 0);
    this.#say("player_preparing");
    this.#state("working", "generate_busy");
    requestAnimationFrame(() => this.#follow(take));
  }

  /** A take that was kept is shown, and heard when `play`. */
  show(kept, { play = false, at = 0 } = {}) {
    this.#take?.sound.close();
    this.#empty(kept);
    this.#wave.push(kept.pcm, kept.seconds);
    this.#suspect(kept);
    this.#progress(kept.segments.length, kept.segments.length);
    this.#say("player_kept", { time: clock(kept.seconds) });
    this.#state("done");
    this.#offer(kept, play ? at : null);
    requestAnimationFrame(() => this.#follow(kept));
  }

  /** Plays one segment of the take that is shown, and stops behind it. */
  playSegment(index) {
    const span = this.#take?.span?.(index);
    if (!span || !this.#audio.src) return;
    this.#audio.currentTime = span[0] / this.#take.rateHz;
    this.#until = span[1] / this.#take.rateHz;
    this.#audio.play().catch(() => {});
  }

  /** Silence. */
  quiet() {
    this.#audio.pause();
    this.#take?.sound.close();
  }

  #empty(take) {
    this.#take = take;
    this.message.clear();
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#audio.load();
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = "";
    this.#until = Infinity;
    attribute(this.#download, "href", null);
    attribute(this.#download, "download", null);
    this.#download.setAttribute("aria-disabled", "true");
    this.#wave.begin(take.rateHz);
    write(this.#spoken, "");
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
      onRedo: mine((n) => this.#say("player_redo", { n })),
      onMark: mine(() => this.#suspect(take)),
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

  /** The take is over: `state` done, stopped or failed; `kept` is what there is of it, or null. */
  end(take, state, kept) {
    if (take !== this.#take) return;
    take.finish();
    this.#wave.finish();
    const time = clock(take.seconds);
    if (state === "done") {
      const spent = (performance.now() - take.startedAt) / 1000;
      this.#progress(take.segments.length, take.segments.length);
      this.#say("player_done", { time, spent: clock(spent), factor: (spent / Math.max(take.seconds, 0.1)).toFixed(2) });
    } else if (state === "stopped") this.#say(take.samples ? "player_stopped" : "player_stopped_empty", { time });
    else this.#say(take.samples ? "player_partial" : "player_idle", { time });
    this.#state(state);
    if (!kept) return;
    if (!take.stopped) kept.sound = take.sound; // it may still be heard
    this.#take = kept;
    requestAnimationFrame(() => this.#follow(kept));
    this.#offer(kept);
  }

  /** Shows in the waveform which segments sound wrong. */
  #suspect(take) {
    const spans = take.segments.map((segment, at) => [segment.findings?.length, take.span(at)]);
    this.#wave.suspect(spans.filter(([found, span]) => found && span).map(([, span]) => span.map((sample) => sample / take.rateHz)));
  }

  /** Makes the file; `playAt` is where it is heard at once, null: not. */
  async #offer(kept, playAt = null) {
    const file = await fileOf(kept, "wav", false);
    if (kept !== this.#take) return;
    this.#suspect(kept);
    this.#address = URL.createObjectURL(file);
    this.#audio.src = this.#address;
    this.#wave.mark(kept.segments.filter((segment) => segment.start).map((segment) => segment.start / kept.rateHz));
    this.#choose();
    if (playAt === null) return;
    this.#audio.currentTime = playAt;
    this.#audio.play().catch(() => {});
  }

  /** The link is the file itself when that is what was chosen, else it is made when it is asked for. */
  #choose() {
    remember("format", this.#format.value);
    remember("even", this.#even.checked);
    if (this.#address) {
      this.#download.href = this.#address;
      this.#download.download = fileName(this.#take.request.text, this.#take.request.voice, new Date(this.#take.createdAt), this.#format.value);
      this.#download.removeAttribute("aria-disabled");
    }
    this.#translate();
  }

  async #save(event) {
    if (!this.#address || (this.#format.value === "wav" && !this.#even.checked)) return;
    event.preventDefault();
    const { download } = this.#download;
    this.#download.setAttribute("aria-busy", "true");
    try {
      const address = URL.createObjectURL(await fileOf(this.#take, this.#format.value, this.#even.checked));
      el("a", { href: address, download }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch {
      this.message.show(t("error_encode"));
    } finally {
      this.#download.removeAttribute("aria-busy");
    }
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
    if (at >= this.#until) {
      this.#audio.pause();
      this.#until = Infinity;
    }
    const sounding = live && playing && !take.stopped;
    const heard = sounding || !this.#audio.paused;
    write(this.#spoken, heard ? take.textAt(at) : "");
    this.#onHeard(heard ? take.indexAt(at) : -1);
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
    this.#until = Infinity;
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
    write(this.#evenWords, t("download_even"));
    this.#format.setAttribute("aria-label", t("download_format"));
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
