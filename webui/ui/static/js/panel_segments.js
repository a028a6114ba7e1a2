// The segments: how the text will be cut, with symbols and language; after a take each can be heard and made again
// alone; and each may have an emotion of its own, by a choice or by a curve.

import { Curve } from "./curve.js";
import { clock, el, icon, write } from "./dom.js";
import { sentence } from "./failures.js";
import { MOODS } from "./moods.js";
import { findingsOf } from "./quality.js";
import { pause, route } from "./server.js";
import { refusal } from "./speech.js";
import { tagged } from "./tags.js";
import { has, onLanguage, t } from "./texts.js";

const DELAY_S = 0.5; // after the last letter, before the server is asked again
const MANY = 60; // handles of a curve that are still told apart

/**
 * options: read() gives the request, facts() what fills the sentences of failures, onPlay(index), onRedo(index, emotion or undefined), open, onOpen(yes); own: the
 * segments' own emotions to begin with, `[{index, text, emotion}]`, and onOwn(own).
 */
export class SegmentsPanel {
  #engine;
  #options;
  #segments = [];
  #own = []; // the emotion of each segment that differs from the request's, else undefined
  #wanted; // the same as `[{index, text, emotion}]`: also while no segments are known
  #mine = true; // whether they are of the text in the box, and not of a take of another one
  #listed = null; // the text that the segments are of
  #take = null;
  #failure = null; // why there is no list: a SpeechFailure; `away`: not for the text's sake
  #asking = null;
  #emotion = "happy";
  #title = el("h2");
  #count = el("span", { class: "tts-segments-count" });
  #rows = el("ol", { class: "tts-segment-rows" });
  #note = el("p", { class: "tts-hint" });
  #names;
  #pick = el("select", { id: "tts-curve-emotion" });
  #pickLabel = el("label", { for: "tts-curve-emotion" });
  #clear = el("button", { type: "button", class: "tts-quiet", onclick: () => this.#forget() });

  constructor(place, engine, names, options) {
    this.#engine = engine;
    this.#names = names;
    this.#options = options;
    const own = Array.isArray(options.own) ? options.own : []; // what is stored may be anything
    this.#wanted = own.filter((one) => typeof one?.text === "string" && one.emotion && typeof one.emotion === "object");
    this.curve = new Curve(names, (at, value) => this.#bend(at, value));
    this.curve.node.addEventListener("resized", () => this.#draw());
    this.#tools = el("div", { class: "tts-curve-tools" }, this.#pickLabel, this.#pick, this.#clear);
    this.node = el("details", { class: "tts-segments", open: options.open }, el("summary", {}, this.#title, this.#count), this.#note, this.#tools, this.curve.node, this.#rows);
    place.append(this.node);
    this.#pick.addEventListener("change", () => {
      this.#emotion = this.#pick.value;
      this.#draw();
    });
    this.node.addEventListener("toggle", () => {
      options.onOpen(this.node.open);
      this.changed();
    });
    engine.onChange(() => engine.info !== this.#shownFor && (this.#translate(), this.changed()));
    onLanguage(() => this.#translate());
  }

  #tools;
  #shownFor = null;

  /** The request has another text: the list is asked for again, soon. */
  async changed() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const { text } = this.#options.read();
    if (this.#take?.typed === text) return;
    await pause(DELAY_S, asking.signal);
    if (asking.signal.aborted || !this.node.open) return;
    await this.#ask(asking.signal).catch(() => {});
  }

  /** Shows the segments of a take, which can be heard. */
  show(take) {
    this.#asking?.abort(); // an answer that is on its way would take its place
    this.#take = take;
    this.#failure = null;
    this.#list(take.segments, take.request.text);
    if (take.segments.some((segment) => segment.findings?.length)) this.node.open = true; // the reasons stand there
  }

  /** Marks the segment that is heard; -1: none. */
  hear(index) {
    [...this.#rows.children].forEach((row, at) => row.classList.toggle("tts-heard", at === index));
  }

  /** The request with the segments' own emotions as tags in its text; unchanged when there are none, or `signal` aborts. */
  async compose(request, signal) {
    if (!this.#wanted.length) return request;
    if (this.#listed !== request.text || !this.#segments.length) await this.#ask(signal).catch(() => {});
    if (this.#listed !== request.text || !this.#own.some(Boolean)) return request;
    return { ...request, text: tagged(this.#segments.map((segment, at) => ({ ...segment, emotion: this.#own[at] ?? segment.emotion }))) };
  }

  async #ask(signal) {
    const { seed: _seed, ...request } = this.#options.read();
    this.#failure = null;
    if (!request.text.trim() || !this.#engine.ready) return this.#list([], request.text);
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal };
    const answer = await fetch(route("api/segments"), options);
    const failure = answer.ok ? null : await refusal(answer);
    const segments = failure ? [] : (await answer.json()).segments;
    if (this.#options.read().text !== request.text) return;
    this.#take = null;
    if (failure) failure.away = answer.status >= 500;
    this.#failure = failure;
    this.#list(segments, request.text);
  }

  #list(segments, text) {
    this.#own = placed(this.#wanted, segments);
    this.#segments = segments;
    this.#listed = text;
    this.#mine = !this.#take || this.#take.typed === this.#options.read().text;
    if (segments.length) this.#keepOwn(); // without a list nothing is known of them
    this.#translate();
  }

  #keepOwn() {
    if (!this.#mine) return;
    this.#wanted = this.#segments.map(({ text }, index) => ({ index, text, emotion: this.#own[index] })).filter((one) => one.emotion);
    this.#options.onOwn(this.#wanted);
  }

  #translate() {
    this.#shownFor = this.#engine.info;
    write(this.#title, t("segments"));
    write(this.#count, this.#segments.length ? t("segments_count", { count: this.#segments.length }) : "");
    write(this.#note, this.#segments.length ? "" : this.#reason());
    write(this.#pickLabel, t("segments_curve"));
    write(this.#clear, t("segments_clear"));
    this.#pick.replaceChildren(...this.#names.map((name) => el("option", { value: name }, t(`emotion_${name}`))));
    this.#pick.value = this.#emotion;
    const feels = this.#feels && this.#segments.length > 0;
    this.#tools.hidden = !feels;
    this.curve.node.toggleAttribute("hidden", !feels || this.#segments.length > MANY);
    this.#rows.replaceChildren(...this.#segments.map((segment, at) => this.#row(segment, at)));
    this.#draw();
  }

  /** Why no segments are shown. */
  #reason() {
    if (!this.#failure) return t("segments_none");
    return this.#failure.away ? t("segments_away") : sentence(this.#failure, this.#options.facts());
  }

  get #feels() {
    return (this.#engine.info?.capabilities ?? []).includes("emotion_vector");
  }

  #row(segment, at) {
    const span = this.#take?.span(at);
    const language = has(`language_${segment.language}`) ? t(`language_${segment.language}`) : segment.language;
    const facts = [span ? clock(span[0] / this.#take.rateHz) : "", language, segment.tokens ? t("segments_symbols", { count: segment.tokens }) : "", segment.speed ? `${segment.speed}×` : "", segment.pause_s ? t("segments_pause", { s: segment.pause_s }) : "", segment.pause_after_s ? t("segments_pause_after", { s: segment.pause_after_s }) : "", segment.redos ? t("segments_redone", { n: segment.redos }) : ""];
    const facing = el("span", { class: "tts-segment-facts", title: segment.symbols ?? "" }, facts.filter(Boolean).join(" · "));
    const tools = el("span", { class: "tts-segment-tools" }, this.#feels ? this.#choice(segment, at) : null);
    if (span) {
      tools.append(button("play", ["M8 5v14l11-7z"], t("segments_play", { n: at + 1 }), () => this.#options.onPlay(at)));
      tools.append(button("redo", ["M4 4v6h6", "M4.5 10a8 8 0 1 1-.5 4"], t("segments_redo", { n: at + 1 }), () => this.#options.onRedo(at, this.#own[at])));
    }
    const findings = span ? findingsOf(segment) : null;
    const kind = findings ? "tts-segment tts-suspect" : "tts-segment";
    return el("li", { class: kind, "data-index": at }, el("span", { class: "tts-segment-text", dir: "auto" }, segment.text.trim()), facing, tools, findings);
  }

  /** What the segment is spoken with: as set, neutral, a mood, one emotion. */
  #choice(segment, at) {
    const select = el("select", { class: "tts-segment-emotion", "aria-label": t("segments_emotion", { n: at + 1 }) });
    const option = (value, words) => el("option", { value }, words);
    select.append(option("", t(segment.emotion ? "segments_as_tagged" : "segments_as_set")), option("{}", t("segments_neutral")));
    for (const [name, mood] of Object.entries(MOODS)) select.append(option(JSON.stringify(mood), t(`mood_${name}`)));
    for (const name of this.#names) select.append(option(JSON.stringify({ [name]: 0.8 }), t(`emotion_${name}`)));
    const own = this.#own[at];
    const value = own ? JSON.stringify(own) : "";
    if (own && ![...select.options].some((one) => one.value === value)) select.append(option(value, describe(own)));
    select.value = value;
    select.addEventListener("change", () => {
      this.#own[at] = select.value ? JSON.parse(select.value) : undefined;
      this.#keepOwn();
      this.#draw();
    });
    return select;
  }

  /** What a segment is spoken with now, by name. */
  #feeling(at) {
    const base = this.#take ? this.#take.request.emotion : this.#options.read().emotion;
    return this.#own[at] ?? this.#segments[at].emotion ?? base ?? {};
  }

  #bend(at, value) {
    this.#own[at] = { ...this.#feeling(at), [this.#emotion]: value };
    if (!value) delete this.#own[at][this.#emotion];
    const select = this.#rows.children[at]?.querySelector("select");
    if (select) select.replaceWith(this.#choice(this.#segments[at], at));
    this.#keepOwn();
    this.#draw();
  }

  #forget() {
    this.#own = [];
    this.#keepOwn();
    this.#translate();
  }

  #draw() {
    if (this.curve.node.hasAttribute("hidden")) return;
    const feelings = this.#segments.map((_, at) => this.#feeling(at));
    this.curve.draw(feelings, this.#emotion, (at) => t("segments_handle", { emotion: t(`emotion_${this.#emotion}`), n: at + 1 }));
    this.#clear.disabled = !this.#own.some(Boolean);
  }
}

/** The emotion of each segment: of the same place and text, else of the same text wherever it moved to. */
function placed(wanted, segments) {
  const own = segments.map(() => undefined);
  const moved = wanted.filter(({ index, text, emotion }) => {
    if (segments[index]?.text !== text) return true;
    own[index] = emotion;
    return false;
  });
  for (const { text, emotion } of moved) {
    const at = segments.findIndex((segment, index) => segment.text === text && !own[index]);
    if (at >= 0) own[at] = emotion;
  }
  return own;
}

function button(kind, paths, label, onclick) {
  return el("button", { type: "button", class: `tts-mini tts-mini-${kind}`, "aria-label": label, title: label, onclick }, icon(...paths));
}

function describe(emotion) {
  return Object.entries(emotion).map(([name, value]) => `${t(`emotion_${name}`)} ${value.toFixed(2)}`).join(", ");
}
