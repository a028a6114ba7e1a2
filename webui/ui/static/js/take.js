// One take: a request while it is being spoken, and everything that comes of it.

import { KeptTake } from "./kept.js";
import { Sound } from "./sound.js";
import { speak } from "./speech.js";

const DEFAULT_RATE_HZ = 24000;

export class Take {
  segments = [];
  begun = -1; // index of the segment whose sound is coming in
  ignored = []; // kinds of tags that the engine cannot follow
  id = crypto.randomUUID?.() ?? String(Math.random()); // the server's when it keeps the take
  marks = []; // {seconds, text}: where each segment starts
  samples = 0;
  rateHz;
  sound;
  #chunks = [];
  #abort = new AbortController();

  /** request: a SpeechRequest; rateHz: the engine's, when it is known. Make it in the handler of a key or click. */
  constructor(request, rateHz) {
    this.request = request;
    this.typed = request.text;
    this.rateHz = rateHz ?? DEFAULT_RATE_HZ;
    this.sound = new Sound(this.rateHz);
    this.startedAt = performance.now();
  }

  /** Speaks to the end. `view` hears onWaiting, onReconnecting, onStart, onQueue, onProgress, onPcm, onMark and onRedo(n). */
  async run(engine, view) {
    const end = await speak(this.request, {
      signal: this.#abort.signal,
      engine,
      onWaiting: view.onWaiting,
      onReconnecting: view.onReconnecting,
      onEvent: (event) => this.#take(event, view),
      onPcm: (pcm) => {
        this.#chunks.push(pcm);
        this.samples += pcm.length;
        this.sound.push(pcm);
        view.onPcm(pcm);
      },
    });
    this.sound.finish();
    return end;
  }

  /** Cancels it here and on the server, and is silent. */
  stop() {
    this.#abort.abort();
    this.sound.close();
  }

  /** No more is coming, but what came may be heard to its end. */
  finish() {
    this.sound.finish();
  }

  get stopped() {
    return this.#abort.signal.aborted;
  }

  /** Aborts when it is stopped. */
  get signal() {
    return this.#abort.signal;
  }

  /** Seconds of speech so far. */
  get seconds() {
    return this.samples / this.rateHz;
  }

  /** Seconds that the whole is likely to have, from the characters of the segments that are done. */
  get expectedSeconds() {
    const length = (segments) => segments.reduce((sum, segment) => sum + segment.text.length, 0);
    const done = length(this.segments.slice(0, this.begun + 1));
    return done ? (this.seconds * length(this.segments)) / done : this.seconds;
  }

  /** First and last sample of a segment, as far as it has come; null for one that has not begun. */
  span(at) {
    const start = this.segments[at]?.start;
    if (start === undefined) return null;
    return [start, this.segments.slice(at + 1).find((segment) => segment.start !== undefined)?.start ?? this.samples];
  }

  /** Index of the segment that is heard at that second; -1: none. */
  indexAt(seconds) {
    return this.marks.findLastIndex((mark) => mark.seconds <= seconds);
  }

  /** The text whose sound is heard at that second. */
  textAt(seconds) {
    return this.marks.findLast((mark) => mark.seconds <= seconds)?.text ?? "";
  }

  /** What there is, to be kept; null without a sound. `end` is the last event, if it came to that. */
  kept(engine, end = null) {
    if (!this.samples) return null;
    const pcm = new Int16Array(this.samples);
    let at = 0;
    for (const chunk of this.#chunks) {
      pcm.set(chunk, at);
      at += chunk.length;
    }
    const { id, request, typed, rateHz, segments } = this;
    const seed = end?.seed ?? request.seed ?? null;
    return new KeptTake({ id, createdAt: Date.now(), request, typed, engine, rateHz, pcm, segments, seed, synthesisS: end?.synthesis_s ?? 0 });
  }

  #take(event, view) {
    if (event.event === "start") {
      this.startedAt = performance.now(); // waiting for the engine or for others is not what speaking took
      this.rateHz = event.sample_rate_hz;
      this.sound.setRate(this.rateHz);
      this.segments = event.segments ?? [];
      this.ignored = event.ignored ?? [];
      if (typeof event.take === "string") this.id = event.take;
      view.onStart();
    } else if (event.event === "segment") {
      this.begun = this.segments.findIndex((segment) => segment.index === event.index);
      this.segments[this.begun].start = event.start_sample;
      this.marks.push({ seconds: event.start_sample / this.rateHz, text: event.text });
      view.onProgress();
    } else if (event.event === "mark") {
      const segment = this.segments.find((one) => one.index === event.index);
      if (segment) Object.assign(segment, { findings: event.findings ?? [], redos: event.redos ?? 0 }, event.seed === undefined ? {} : { seed: event.seed });
      view.onMark();
    } else if (event.event === "queue") view.onQueue(event.position);
    else if (event.event === "progress" && event.stage === "grammar") view.onGrammar();
    else if (event.event === "progress" && event.stage === "redo") view.onRedo(event.done + 1);
  }
}
