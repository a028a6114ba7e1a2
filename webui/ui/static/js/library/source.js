// Where a recording comes from: a file that is chosen or dropped, or the microphone; and how it is sent.

import { el, write } from "../dom.js";
import { t } from "../texts.js";
import { call, CallFailure } from "./calls.js";
import { canRecord, Microphone } from "./microphone.js";
import { button, opener, worded } from "./parts.js";
import { asWav, decode } from "./trim.js";

const MAX_RECORDED_S = 60;
const MAX_DECODED_BYTES = 64e6;

/** The buttons for a file and for the microphone, with its loudness. */
export class RecordingSource {
  #notice;
  #onBegin;
  #take;
  #microphone = new Microphone();
  #busy = false;
  #time = el("span", { class: "tts-lib-clock" });

  /** notice: for what goes wrong; drop: takes files, too; onBegin() before; take({file, decoded, name}) after. */
  constructor(notice, drop, { onBegin, take }) {
    this.#notice = notice;
    this.#onBegin = onBegin;
    this.#take = take;
    this.meter = el("div", { class: "tts-lib-meter", hidden: true, role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, el("i"));
    worded(this.meter, "recording_level", "aria-label");
    const chooser = opener("recording_choose", "open", "audio/*,.wav,.flac,.mp3,.ogg,.opus,.aiff,.m4a", drop, ([file]) => this.#read(file));
    this.record = button("recording_record", "microphone", () => this.#toggle());
    this.record.disabled = !canRecord();
    this.row = el("div", { class: "tts-lib-row" }, chooser, this.record, this.#time);
    this.hint = canRecord() ? null : worded(el("p", { class: "tts-lib-hint" }), "recording_no_microphone");
  }

  /** Begins or ends; a second press meanwhile would open a second microphone, and nobody would close the first. */
  async #toggle() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      await (this.#microphone.recording ? this.#end() : this.#start());
    } finally {
      this.#busy = false;
    }
  }

  async #start() {
    this.#notice.clear();
    this.#onBegin();
    try {
      await this.#microphone.start((level, seconds) => this.#level(level, seconds));
    } catch (error) {
      return this.#notice.fail(new CallFailure(error.name === "NotAllowedError" ? "microphone_refused" : "microphone_missing"));
    }
    this.meter.hidden = false;
    this.record.dataset.recording = "true";
    write(this.record.querySelector("span"), t("recording_stop"));
  }

  #level(level, seconds) {
    this.meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
    this.meter.style.setProperty("--tts-share", level);
    this.meter.dataset.loud = String(level > 0.95);
    write(this.#time, t("library_seconds", { n: seconds.toFixed(1) }));
    if (seconds >= MAX_RECORDED_S) this.#end();
  }

  async #end() {
    if (!this.#microphone.recording) return;
    const recorded = await this.#microphone.stop();
    this.meter.hidden = true;
    delete this.record.dataset.recording;
    write(this.#time, "");
    write(this.record.querySelector("span"), t("recording_record"));
    const decoded = await decode(recorded);
    if (!decoded) return this.#notice.fail(new CallFailure("unreadable_recording"));
    await this.#take({ file: asWav(decoded), decoded, name: "" });
  }

  async #read(file) {
    this.#onBegin();
    const decoded = file.size <= MAX_DECODED_BYTES ? await decode(file) : null;
    await this.#take({ file, decoded, name: file.name.replace(/\.[^.]*$/, "").slice(0, 80) });
  }
}

/** Sends a recording of `RecordingSource`; gives the answer. */
export async function send(path, query, recording) {
  const sent = (body) => call(path, { method: "POST", query, body });
  try {
    return await sent(recording.file);
  } catch (error) {
    // A format that browsers know and the server does not, as most telephones record.
    if (error.code !== "unreadable_recording" || !recording.decoded) throw error;
    recording.file = asWav(recording.decoded);
    return sent(recording.file);
  }
}

/** A finding of the server's as a sentence. */
export function findingWords(finding) {
  const value = finding.code === "clipped" ? (finding.value * 100).toFixed(2) : Math.round(finding.value * 10) / 10;
  return t(`finding_${finding.code}`, { value });
}
