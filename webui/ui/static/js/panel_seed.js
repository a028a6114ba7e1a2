// The seed: random for every take, shown, and kept when it is locked. There only for an engine that draws.

import { el, icon, write } from "./dom.js";
import { onLanguage, t } from "./texts.js";

const LARGEST = 2 ** 32 - 1;
const LOCKED = ["M7 11V8a5 5 0 0 1 10 0v3", "M5 11h14v9H5z"];
const OPEN = ["M7 11V8a5 5 0 0 1 9.6-2", "M5 11h14v9H5z"];

/** A seed of its own for every call. */
export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

/** options: seed, locked (to begin with), onChange({seed, seed_locked}). */
export class SeedPanel {
  #label = el("label", { for: "tts-seed" });
  #input = el("input", { id: "tts-seed", type: "number", min: 0, max: LARGEST, step: 1, inputmode: "numeric" });
  #lock = el("button", { type: "button", class: "tts-round", id: "tts-seed-lock" });
  #dice = el("button", { type: "button", class: "tts-round", id: "tts-seed-new" },
    icon("M4 4h16v16H4z", "M8.5 8.5v.01M15.5 8.5v.01M12 12v.01M8.5 15.5v.01M15.5 15.5v.01"));
  #locked;
  #onChange;

  constructor(place, engine, { seed, locked, onChange }) {
    this.#locked = locked;
    this.#onChange = onChange;
    this.#input.value = seed >= 0 ? String(seed) : "";
    this.node = el("div", { class: "tts-seed", hidden: true }, this.#label, this.#input, this.#lock, this.#dice);
    place.append(this.node);
    this.#input.addEventListener("change", () => this.#set(this.#read() ?? randomSeed(), true));
    this.#lock.addEventListener("click", () => this.#set(this.#read() ?? randomSeed(), !this.#locked));
    this.#dice.addEventListener("click", () => this.#set(randomSeed(), this.#locked));
    engine.onChange(() => (this.node.hidden = !(engine.info?.capabilities ?? []).includes("seed")));
    onLanguage(() => this.#show());
  }

  /** The seed for the next take; undefined when the engine does not draw. */
  next() {
    if (this.node.hidden) return undefined;
    if (!this.#locked || this.#read() === null) this.#set(randomSeed(), this.#locked);
    return this.#read();
  }

  /** The field of a request that shall be made again as it is: the seed, if it is locked. */
  get locked() {
    return !this.node.hidden && this.#locked && this.#read() !== null ? { seed: this.#read() } : {};
  }

  /** Locks a seed that made something worth keeping. */
  lock(seed) {
    if (Number.isInteger(seed) && seed >= 0 && seed <= LARGEST) this.#set(seed, true);
  }

  #read() {
    const value = Number.parseInt(this.#input.value, 10);
    return Number.isInteger(value) && value >= 0 && value <= LARGEST ? value : null;
  }

  #set(seed, locked) {
    this.#locked = locked;
    this.#input.value = String(seed);
    this.#show();
    this.#onChange({ seed, seed_locked: locked });
  }

  #show() {
    write(this.#label, t("seed"));
    const words = t(this.#locked ? "seed_unlock" : "seed_lock");
    this.#lock.replaceChildren(icon(...(this.#locked ? LOCKED : OPEN)));
    for (const [button, name] of [[this.#lock, words], [this.#dice, t("seed_new")]]) {
      button.setAttribute("aria-label", name);
      button.title = name;
    }
    this.#lock.setAttribute("aria-pressed", String(this.#locked));
    this.node.classList.toggle("tts-locked", this.#locked);
  }
}
