// What a person does at the player: a take is made, one segment of it is made again, and it stops.

import { learn } from "./estimate.js";
import { clearFailures, showFailure } from "./failures.js";
import { recall, remember } from "./memory.js";
import { randomSeed } from "./panel_seed.js";
import { summary } from "./quality.js";
import { readRequest } from "./request.js";
import { SpeechFailure } from "./speech.js";
import { Take } from "./take.js";
import { t } from "./texts.js";

const LEAVING_MS = 1000;

export class Speaking {
  #panels;
  #engine;
  #store;
  #limit;
  #take = null;
  #shown = null;
  #running = null; // until the take that is under way has ended

  /** panels: of the tab; limit: characters of a text. */
  constructor(panels, engine, store, limit) {
    this.#panels = panels;
    this.#engine = engine;
    this.#store = store;
    this.#limit = limit;
  }

  /** Speaks what the panels show; `instead` of what is being spoken, if anything is. */
  async generate({ instead = false } = {}) {
    const { player, text, segments, seed, takes } = this.#panels;
    if (player.busy && instead) {
      this.stop();
      await this.#running;
    }
    if (player.busy) return;
    clearFailures(this.#panels);
    const request = readRequest(this.#panels);
    const failure = this.#mistake(request);
    if (failure) {
      showFailure(failure, this.#panels, this.#limits());
      text.focus();
      return;
    }
    this.#take?.stop();
    takes.quiet();
    // Here and not later: browsers let sound begin only in the handler of a key or a click.
    const take = (this.#take = new Take({ ...request, seed: seed.next() }, this.#engine.info?.sample_rate_hz));
    player.begin(take);
    this.#running = segments.compose(take.request, take.signal).then((composed) => {
      take.request = composed;
      return this.#run(take);
    });
    const kept = await this.#running;
    if (kept) this.#keep(kept);
  }

  stop() {
    this.#take?.stop();
  }

  /** Shows the take that was shown before the page was loaded again, unless something else is by now. */
  restore() {
    const kept = this.#store.takes.find((take) => take.id === recall("shown", ""));
    if (kept && !this.#take && !this.#shown) this.show(kept);
    if (!this.#take && interrupted(false)) this.#panels.player.message.show(t("take_interrupted"));
  }

  /** Shows a take that was kept, and plays it when `options` say so. */
  show(kept, options) {
    const { player, segments, takes } = this.#panels;
    if (player.busy) return;
    this.#show(kept);
    takes.quiet();
    player.show(kept, options);
    segments.show(kept);
  }

  /** Makes one segment of the shown take again: with `emotion` where it has one, and always with another seed. */
  async redo(index, emotion) {
    const { player, takes } = this.#panels;
    const whole = this.#shown;
    if (player.busy || !whole?.span(index)) return;
    clearFailures(this.#panels);
    this.#take?.stop();
    takes.quiet();
    const segment = whole.segments[index];
    const changes = { seed: whole.request.seed === undefined ? undefined : randomSeed(), emotion: emotion ?? segment.emotion };
    const take = (this.#take = new Take(requestOf(whole.request, segment, changes), whole.rateHz));
    player.begin(take);
    const made = await (this.#running = this.#run(take));
    if (!made) return;
    const findings = made.segments.flatMap((one) => one.findings ?? []);
    const kept = whole.spliced(index, made.pcm, { ...changes, findings, redos: 0 });
    this.#keep(kept);
    player.show(kept);
    if (summary(kept)) player.message.show(summary(kept));
    if (!take.sound.position().playing) player.playSegment(index);
  }

  /** The kept take when it was spoken to its end, else null: failures and stops are shown. */
  async #run(take) {
    const { player } = this.#panels;
    const engine = this.#engine.info?.name ?? "";
    interrupted(true);
    try {
      const end = await take.run(this.#engine, player.view(take));
      const kept = take.kept(engine, end);
      interrupted(false);
      player.end(take, "done", kept);
      const remarks = [take.ignored.length ? t("markup_ignored") : "", kept ? summary(kept) : ""].filter(Boolean);
      if (remarks.length) player.message.show(remarks.join(" "));
      return kept;
    } catch (error) {
      const kept = take.kept(engine);
      player.end(take, take.stopped ? "stopped" : "failed", kept);
      if (kept && take.stopped) this.#keep(kept);
      if (take.stopped) return null;
      showFailure(error instanceof SpeechFailure ? error : new SpeechFailure("server"), this.#panels, this.#limits());
      if (!(error instanceof SpeechFailure)) console.warn(error);
      return null;
    } finally {
      // Later: a page that is being left sees its requests fail before it goes.
      setTimeout(() => this.#panels.player.busy || interrupted(false), LEAVING_MS);
    }
  }

  #show(kept) {
    this.#shown = kept;
    this.#panels.takes.show(kept);
    remember("shown", kept.id);
  }

  #keep(kept) {
    const { segments } = this.#panels;
    this.#show(kept);
    this.#store.add(kept);
    segments.show(kept);
    learn(kept);
    const detail = { id: kept.id, request: kept.request, seconds: kept.seconds };
    dispatchEvent(new CustomEvent("tts:taken", { detail }));
  }

  #limits() {
    return { count: this.#panels.text.length.toLocaleString(), limit: this.#limit.toLocaleString() };
  }

  /** What the page can tell without asking the server, else null. */
  #mistake(request) {
    if (!request.text.trim()) return new SpeechFailure("empty_text", { param: "text" });
    if (this.#panels.text.length > this.#limit) return new SpeechFailure("text_too_long", { param: "text" });
    return null;
  }
}

/** Whether a take was under way when this tab was loaded again, or crashed; sets what the next load will be told. */
function interrupted(now) {
  try {
    const before = sessionStorage.getItem("tts-launcher.speaking") === "yes";
    sessionStorage.setItem("tts-launcher.speaking", now ? "yes" : "no");
    return before;
  } catch {
    return false; // storage is off
  }
}

/** The request of one segment of a take. */
function requestOf(request, segment, { seed, emotion }) {
  const own = { ...request, text: segment.text, markup: false, speed: request.speed * (segment.speed ?? 1) };
  if (seed !== undefined) own.seed = seed;
  if (!emotion) return own;
  const { emotion_text: _text, emotion_reference: _reference, ...rest } = own;
  return { ...rest, emotion, emotion_mode: Object.values(emotion).some((value) => value > 0) ? "vector" : "voice" };
}
