// A recording before it becomes a voice: its waveform, and two handles for the part to keep.

import { el, write } from "../dom.js";
import { onLanguage, t } from "../texts.js";
import { wav } from "../wav.js";
import { worded } from "./parts.js";

const GOOD_S = [3, 15];
const STEP_S = 0.05;
const COLUMNS = 600;

/** Decodes a sound file in the browser; null when it cannot. */
export async function decode(blob) {
  const context = new OfflineAudioContext(1, 1, 48000);
  try {
    return await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    return null;
  }
}

/** A decoded recording as a mono WAV file. */
export function asWav(decoded) {
  const mono = new Int16Array(decoded.length);
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  for (let at = 0; at < decoded.length; at += 1) {
    const mean = channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length;
    mono[at] = Math.max(-32768, Math.min(32767, Math.round(mean * 32768)));
  }
  return wav([mono], decoded.sampleRate);
}

export class Trim {
  #canvas = el("canvas", { class: "tts-lib-wave", role: "img", width: COLUMNS, height: 96 });
  #from = el("input", { type: "range", min: 0, step: STEP_S });
  #to = el("input", { type: "range", min: 0, step: STEP_S });
  #length = el("p", { class: "tts-lib-length", role: "status" });
  #peaks = [];
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    worded(this.#canvas, "voices_wave", "aria-label");
    const handles = [[this.#from, "voices_from"], [this.#to, "voices_to"]].map(([input, key]) => el("label", {}, worded(el("span"), key), input));
    this.node = el("div", { class: "tts-lib-trim", hidden: true }, this.#canvas, ...handles, this.#length);
    for (const input of [this.#from, this.#to]) {
      input.addEventListener("input", () => this.#move(input));
      input.addEventListener("change", () => this.#onChange());
    }
    onLanguage(() => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Shows a decoded recording, or nothing. */
  show(decoded) {
    this.node.hidden = !decoded;
    if (!decoded) return;
    this.duration = decoded.duration;
    for (const input of [this.#from, this.#to]) input.max = String(decoded.duration.toFixed(2));
    this.#from.value = "0";
    this.#to.value = String(Math.min(decoded.duration, 60).toFixed(2));
    this.#peaks = peaks(decoded.getChannelData(0));
    this.#draw();
  }

  /** `{start_s, end_s}` of the part to keep; empty when that is all, or when nothing is known. */
  get part() {
    if (this.node.hidden) return {};
    const [start, end] = [Number(this.#from.value), Number(this.#to.value)];
    return start <= STEP_S && end >= this.duration - STEP_S ? {} : { start_s: start.toFixed(2), end_s: end.toFixed(2) };
  }

  #move(input) {
    const [from, to] = [Number(this.#from.value), Number(this.#to.value)];
    if (to - from < 0.5) {
      if (input === this.#from) this.#from.value = String(Math.max(0, to - 0.5));
      else this.#to.value = String(Math.min(this.duration, from + 0.5));
    }
    this.#draw();
  }

  #draw() {
    if (this.node.hidden) return;
    const [from, to] = [Number(this.#from.value), Number(this.#to.value)];
    const length = to - from;
    const key = length < GOOD_S[0] ? "voices_length_short" : length > GOOD_S[1] ? "voices_length_long" : "voices_length_good";
    write(this.#length, t(key, { n: length.toFixed(1) }));
    this.#length.dataset.good = String(key === "voices_length_good");
    for (const [input, value] of [[this.#from, from], [this.#to, to]]) input.setAttribute("aria-valuetext", t("library_seconds", { n: value.toFixed(2) }));
    const colours = getComputedStyle(this.#canvas);
    const pen = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    pen.clearRect(0, 0, width, height);
    this.#peaks.forEach((peak, column) => {
      const at = (column / COLUMNS) * this.duration;
      pen.fillStyle = colours.getPropertyValue(at >= from && at <= to ? "--tts-accent" : "--tts-line");
      const tall = Math.max(2, peak * (height - 8));
      pen.fillRect(column, (height - tall) / 2, 1, tall);
    });
  }
}

function peaks(samples) {
  const each = Math.max(1, samples.length / COLUMNS);
  return Array.from({ length: COLUMNS }, (_, column) => {
    let top = 0;
    const end = Math.min(samples.length, Math.floor((column + 1) * each));
    for (let at = Math.floor(column * each); at < end; at += Math.max(1, Math.floor(each / 200))) top = Math.max(top, Math.abs(samples[at]));
    return Math.min(1, top);
  });
}
