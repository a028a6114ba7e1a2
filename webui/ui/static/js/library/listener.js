// One loudspeaker for a tab: whatever begins to play ends what played before.

import { icon } from "../dom.js";
import { t } from "../texts.js";
import { ICONS } from "./parts.js";

export class Listener {
  #audio = new Audio();
  #button = null;
  #label = "";
  #made = "";
  #turn = 0;

  constructor(onFailure) {
    for (const name of ["ended", "pause"]) this.#audio.addEventListener(name, () => this.#rest());
    this.#audio.addEventListener("error", () => {
      if (!this.#button) return;
      this.stop();
      onFailure();
    });
  }

  /** Plays `source` (an address, a Blob, or a promise of one), or stops when `button` plays already. */
  async toggle(button, source) {
    const mine = this.#button === button;
    this.stop();
    if (mine) return;
    this.#turn += 1;
    const turn = this.#turn;
    this.#button = button;
    this.#label = button.getAttribute("aria-label");
    button.setAttribute("aria-label", t("library_stop"));
    button.dataset.playing = "true";
    button.querySelector("svg")?.replaceWith(icon(...ICONS.stop));
    try {
      const sound = await (typeof source === "function" ? source() : source);
      if (turn !== this.#turn) return;
      this.#made = sound instanceof Blob ? URL.createObjectURL(sound) : "";
      this.#audio.src = this.#made || sound;
      await this.#audio.play();
    } catch (error) {
      if (turn !== this.#turn) return;
      this.stop();
      if (error.name !== "AbortError" && error.name !== "NotSupportedError") throw error;
    }
  }

  /** Silence. */
  stop() {
    this.#turn += 1;
    this.#audio.pause();
    this.#rest();
    this.#audio.removeAttribute("src");
    if (this.#made) URL.revokeObjectURL(this.#made);
    this.#made = "";
  }

  #rest() {
    const button = this.#button;
    this.#button = null;
    if (!button) return;
    button.setAttribute("aria-label", this.#label);
    delete button.dataset.playing;
    button.querySelector("svg")?.replaceWith(icon(...ICONS.play));
  }
}
