// A recording whose emotion is spoken with, sent for this alone: a file or the microphone, nothing is stored as a voice.

import { el } from "../dom.js";
import { t } from "../texts.js";
import { address, call, CallFailure } from "./calls.js";
import { Listener } from "./listener.js";
import { attempt, Notice, prepare, tool, worded } from "./parts.js";
import { findingWords, RecordingSource, send } from "./source.js";

const USED_S = 15; // what the engines hear of it

export { prepare };

export class EmotionRecording {
  #notice = new Notice();
  #findings = el("ul", { class: "tts-lib-findings" });
  #listener = new Listener(() => this.#notice.fail(new CallFailure("recording_expired")));
  #given;
  #onGiven;
  #listen = tool("", "play", () => this.#listener.toggle(this.#listen, address(`api/recordings/${this.#given.id}/audio`)).catch((error) => this.#notice.fail(error)));
  #remove = tool("", "remove", () => this.#drop());

  /** given: `{id, name, seconds}` of the last one, or null; onGiven(given) when another one comes, or none is left. */
  constructor(given, onGiven) {
    this.#given = given;
    this.#onGiven = onGiven;
    worded(this.#listen, "recording_listen", "aria-label");
    worded(this.#remove, "recording_remove", "aria-label");
    this.node = el("div", { class: "tts-lib-given" });
    const source = new RecordingSource(this.#notice, this.node, { onBegin: () => this.#listener.stop(), take: (recording) => this.#send(recording, source) });
    source.row.append(this.#listen, this.#remove);
    this.node.append(source.row, source.meter, ...[source.hint].filter(Boolean), this.#notice.node, this.#findings);
    this.#show();
  }

  async #send(recording, source) {
    const { decoded, name } = recording;
    this.#findings.replaceChildren();
    await attempt(this.#notice, source.record, async () => {
      const long = decoded && decoded.duration > USED_S;
      const sent = await send("api/recordings", long ? { end_s: USED_S } : {}, recording);
      this.#given = { id: sent.id, name, seconds: sent.duration_s };
      const told = sent.findings.filter((finding) => finding.severity === "warning").map((finding) => el("li", { "data-severity": "warning" }, findingWords(finding)));
      if (long) told.unshift(el("li", { "data-severity": "note" }, t("recording_cut", { n: USED_S })));
      this.#findings.replaceChildren(...told);
      this.#onGiven(this.#given);
    });
    this.#show();
  }

  async #drop() {
    const { id } = this.#given;
    this.#listener.stop();
    this.#given = null;
    this.#findings.replaceChildren();
    this.#onGiven(null);
    this.#show();
    await call(`api/recordings/${id}`, { method: "DELETE" }).catch(() => {}); // it goes by itself, too
  }

  #show() {
    this.#listen.hidden = this.#remove.hidden = !this.#given;
  }
}
