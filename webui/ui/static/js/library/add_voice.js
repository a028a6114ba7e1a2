// Adding a voice: a file or the microphone, the part to keep, what the server finds in it, and who it is.

import { el, write } from "../dom.js";
import { onLanguage, t } from "../texts.js";
import { CallFailure } from "./calls.js";
import { Listener } from "./listener.js";
import { attempt, field, Notice, settled, tick, tool, worded } from "./parts.js";
import { findingWords, RecordingSource, send } from "./source.js";
import { asWav, Trim } from "./trim.js";

export class AddVoice {
  node = el("div", { class: "tts-lib-add" });
  #onAdded;
  #notice = new Notice();
  #recording = null; // {file, decoded, name}
  #proposed = ""; // the name that the last recording brought
  #found = null;
  #checks = 0;
  #listener = new Listener(() => this.#notice.fail(new CallFailure("no_sound")));
  #trim = new Trim(settled(() => this.#check(), 400));
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
    worded(this.#save, "voices_save");
    const drop = el("div", { class: "tts-lib-dropzone" });
    const source = new RecordingSource(this.#notice, drop, { onBegin: () => this.quiet(), take: (recording) => this.#begin(recording) });
    drop.append(worded(el("p", { class: "tts-lib-hint" }), "voices_guide"), source.row, source.meter, ...[source.hint].filter(Boolean));
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

  async #begin(recording) {
    this.#recording = recording;
    this.#form.hidden = false;
    this.#trim.show(recording.decoded);
    if (!this.#name.value || this.#name.value === this.#proposed) this.#name.value = recording.name;
    this.#proposed = recording.name;
    await this.#check();
  }

  /** What the server finds in the part to keep. */
  async #check() {
    if (!this.#recording) return; // it was added meanwhile
    const check = (this.#checks += 1); // the last one counts: the answer to an earlier one may come after it
    this.#notice.clear();
    this.#found = null;
    this.#showFound();
    try {
      const found = await this.#send("api/voices/check");
      if (this.#recording && check === this.#checks) this.#found = found;
    } catch (error) {
      if (this.#recording && check === this.#checks) this.#notice.fail(error);
    }
    this.#showFound();
  }

  #send(path, query = {}) {
    return send(path, { ...query, ...this.#trim.part }, this.#recording);
  }

  async #add() {
    const given = { name: this.#name.value, tags: this.#tags.value, language: this.#language.value, consent: this.#consent.value };
    await attempt(this.#notice, this.#save, async () => {
      const voice = await this.#send("api/voices", { ...given, default: this.#default.input.checked ? "yes" : "" });
      this.quiet();
      this.#recording = this.#found = null;
      this.#form.reset();
      this.#form.hidden = true;
      this.#trim.show(null);
      await this.#onAdded(voice);
    });
  }

  async #partToHear() {
    const { file, decoded } = this.#recording;
    if (!decoded) return file;
    const { start_s: start = 0, end_s: end = decoded.duration } = this.#trim.part;
    const rate = decoded.sampleRate;
    const context = new OfflineAudioContext(1, Math.max(1, Math.floor((end - start) * rate)), rate);
    const source = new AudioBufferSourceNode(context, { buffer: decoded });
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
