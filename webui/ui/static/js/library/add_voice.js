// Adding a voice: a file or the microphone, the part to keep, what the server finds in it, and who it is.

import { el, write } from "../dom.js";
import { onLanguage, t } from "../texts.js";
import { call, CallFailure } from "./calls.js";
import { Listener } from "./listener.js";
import { canRecord, Microphone } from "./microphone.js";
import { attempt, button, field, Notice, opener, settled, tick, tool, worded } from "./parts.js";
import { asWav, decode, Trim } from "./trim.js";

const MAX_RECORDED_S = 60;
const MAX_DECODED_BYTES = 64e6;

export class AddVoice {
  node = el("div", { class: "tts-lib-add" });
  #onAdded;
  #notice = new Notice();
  #file = null;
  #decoded = null;
  #found = null;
  #microphone = new Microphone();
  #listener = new Listener(() => this.#notice.fail(new CallFailure("no_sound")));
  #trim = new Trim(settled(() => this.#check(), 400));
  #meter = el("div", { class: "tts-lib-meter", hidden: true, role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 }, el("i"));
  #time = el("span", { class: "tts-lib-clock" });
  #findings = el("ul", { class: "tts-lib-findings" });
  #measured = el("p", { class: "tts-lib-hint" });
  #form = el("form", { class: "tts-lib-form", hidden: true });
  #name = el("input", { type: "text", maxlength: 80, required: true, autocomplete: "off" });
  #tags = el("input", { type: "text", maxlength: 400, autocomplete: "off" });
  #language = el("select", {});
  #consent = el("textarea", { rows: 2, maxlength: 1000 });
  #default = tick("voices_default_field");
  #save = el("button", { type: "submit", class: "tts-lib-button tts-lib-main" });

  /** onAdded gets the voice; it may return a promise. */
  constructor(engine, onAdded) {
    this.#onAdded = onAdded;
    worded(this.#meter, "voices_level", "aria-label");
    worded(this.#save, "voices_save");
    const drop = el("div", { class: "tts-lib-dropzone" });
    const chooser = opener("voices_choose", "open", "audio/*,.wav,.flac,.mp3,.ogg,.opus,.aiff,.m4a", drop, ([file]) => this.#take(file));
    this.record = button("voices_record", "microphone", () => this.#record());
    this.record.disabled = !canRecord();
    drop.append(worded(el("p", { class: "tts-lib-hint" }), "voices_guide"), el("div", { class: "tts-lib-row" }, chooser, this.record, this.#time), this.#meter);
    if (!canRecord()) drop.append(worded(el("p", { class: "tts-lib-hint" }), "voices_no_microphone"));
    const listen = tool("", "play", () => this.#listener.toggle(listen, () => this.#partToHear()));
    worded(listen, "voices_listen_part", "aria-label");
    const heard = el("div", { class: "tts-lib-row" }, listen, this.#measured);
    this.#form.append(this.#trim.node, heard, this.#findings,
      field("voices_name", this.#name), field("voices_tags", this.#tags, "voices_tags_hint"), field("voices_language", this.#language),
      field("voices_consent", this.#consent, "voices_consent_hint"), this.#default.node, el("div", { class: "tts-lib-row" }, this.#save));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    this.node.append(drop, this.#notice.node, this.#form);
    const languages = () => this.#showLanguages(engine.info?.languages ?? ["zh", "en"]);
    engine.onChange(languages);
    onLanguage(() => {
      languages();
      this.#showFound();
    });
  }

  /** Silence; a recording that is running goes on. */
  quiet() {
    this.#listener.stop();
  }

  async #record() {
    if (this.#microphone.recording) return this.#endRecording();
    this.#notice.clear();
    this.quiet();
    try {
      await this.#microphone.start((level, seconds) => this.#level(level, seconds));
    } catch (error) {
      return this.#notice.fail(new CallFailure(error.name === "NotAllowedError" ? "microphone_refused" : "microphone_missing"));
    }
    this.#meter.hidden = false;
    this.record.dataset.recording = "true";
    write(this.record.querySelector("span"), t("voices_record_stop"));
  }

  #level(level, seconds) {
    this.#meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
    this.#meter.style.setProperty("--tts-share", level);
    this.#meter.dataset.loud = String(level > 0.95);
    write(this.#time, t("library_seconds", { n: seconds.toFixed(1) }));
    if (seconds >= MAX_RECORDED_S) this.#endRecording();
  }

  async #endRecording() {
    if (!this.#microphone.recording) return;
    const recorded = await this.#microphone.stop();
    this.#meter.hidden = true;
    delete this.record.dataset.recording;
    write(this.#time, "");
    write(this.record.querySelector("span"), t("voices_record"));
    const decoded = await decode(recorded);
    if (!decoded) return this.#notice.fail(new CallFailure("unreadable_recording"));
    await this.#begin(asWav(decoded), decoded, "");
  }

  async #take(file) {
    const decoded = file.size <= MAX_DECODED_BYTES ? await decode(file) : null;
    await this.#begin(file, decoded, file.name.replace(/\.[^.]*$/, "").slice(0, 80));
  }

  async #begin(file, decoded, name) {
    this.quiet();
    this.#file = file;
    this.#decoded = decoded;
    this.#form.hidden = false;
    this.#trim.show(decoded);
    if (!this.#name.value) this.#name.value = name;
    await this.#check();
  }

  /** What the server finds in the part to keep. */
  async #check() {
    if (!this.#file) return; // it was added meanwhile
    this.#notice.clear();
    this.#found = null;
    this.#showFound();
    try {
      const found = await this.#send("api/voices/check");
      if (this.#file) this.#found = found;
    } catch (error) {
      if (this.#file) this.#notice.fail(error);
    }
    this.#showFound();
  }

  async #send(path, query = {}) {
    const send = (body) => call(path, { method: "POST", query: { ...query, ...this.#trim.part }, body });
    try {
      return await send(this.#file);
    } catch (error) {
      // A format that browsers know and the server does not, as most telephones record.
      if (error.code !== "unreadable_recording" || !this.#decoded) throw error;
      this.#file = asWav(this.#decoded);
      return send(this.#file);
    }
  }

  async #add() {
    const given = { name: this.#name.value, tags: this.#tags.value, language: this.#language.value, consent: this.#consent.value };
    await attempt(this.#notice, this.#save, async () => {
      const voice = await this.#send("api/voices", { ...given, default: this.#default.input.checked ? "yes" : "" });
      this.quiet();
      this.#file = this.#decoded = this.#found = null;
      this.#form.reset();
      this.#form.hidden = true;
      this.#trim.show(null);
      await this.#onAdded(voice);
    });
  }

  async #partToHear() {
    if (!this.#decoded) return this.#file;
    const { start_s: start = 0, end_s: end = this.#decoded.duration } = this.#trim.part;
    const rate = this.#decoded.sampleRate;
    const context = new OfflineAudioContext(1, Math.max(1, Math.floor((end - start) * rate)), rate);
    const source = new AudioBufferSourceNode(context, { buffer: this.#decoded });
    source.connect(context.destination);
    source.start(0, Number(start));
    return asWav(await context.startRendering());
  }

  #showFound() {
    const found = this.#found;
    write(this.#measured, found ? t("voices_measured", { seconds: found.duration_s.toFixed(1), level: Math.round(found.level_dbfs), noise: Math.round(found.noise_dbfs) }) : "");
    const findings = found?.findings ?? [];
    this.#findings.replaceChildren(...findings.map((finding) => el("li", { "data-severity": finding.severity }, findingWords(finding))));
    if (found && !findings.some((finding) => finding.severity === "warning")) this.#findings.append(el("li", { "data-severity": "good" }, t("voices_good")));
  }

  #showLanguages(codes) {
    const chosen = this.#language.value;
    this.#language.replaceChildren(el("option", { value: "" }, t("voices_language_any")), ...codes.map((code) => el("option", { value: code }, t(`language_${code}`))));
    this.#language.value = codes.includes(chosen) ? chosen : "";
  }
}

/** A finding as a sentence. */
export function findingWords(finding) {
  const value = finding.code === "clipped" ? (finding.value * 100).toFixed(2) : Math.round(finding.value * 10) / 10;
  return t(`finding_${finding.code}`, { value });
}
