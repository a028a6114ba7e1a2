// One emotion over the segments: a line with a handle for each segment, moved by dragging or by arrow keys; the other
// emotions that are in use as thin lines.

import { svg } from "./dom.js";

const HEIGHT = 96;
const PAD = 12;
const STEP = 0.05;
const KEYS = { ArrowUp: STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowLeft: -STEP, PageUp: 0.25, PageDown: -0.25 };

export class Curve {
  #names;
  #onInput;
  #lines = {};
  #handles = [];
  #width = 0;
  #lastEmotions = [];
  #selected = "";

  /** names: of the emotions; onInput(index of a segment, value from 0 to 1). */
  constructor(names, onInput) {
    this.#names = names;
    this.#onInput = onInput;
    this.node = svg("svg", { class: "tts-curve", role: "group", height: HEIGHT });
    for (const name of names) this.#lines[name] = svg("polyline", { "data-emotion": name });
    this.node.append(svg("path", { class: "tts-curve-ground" }), ...Object.values(this.#lines));
    new ResizeObserver(() => this.#resize()).observe(this.node);
  }

  /** emotions: of each segment, by name; selected: whose handles are shown; label(index, value) for screen readers. */
  draw(emotions, selected, label) {
    this.#lastEmotions = emotions;
    this.#selected = selected;
    while (this.#handles.length > emotions.length) this.#handles.pop().remove();
    while (this.#handles.length < emotions.length) this.#handles.push(this.#handle(this.#handles.length));
    for (const name of this.#names) {
      const used = name === selected || emotions.some((emotion) => emotion[name] > 0);
      this.#lines[name].setAttribute("points", used ? emotions.map((emotion, at) => `${this.#x(at)},${y(emotion[name] ?? 0)}`).join(" ") : "");
      this.#lines[name].classList.toggle("tts-chosen", name === selected);
    }
    this.#handles.forEach((handle, at) => {
      const value = emotions[at][selected] ?? 0;
      handle.dataset.emotion = selected;
      handle.setAttribute("cx", this.#x(at));
      handle.setAttribute("cy", y(value));
      handle.setAttribute("aria-valuenow", value.toFixed(2));
      handle.setAttribute("aria-label", label(at));
    });
    this.node.querySelector(".tts-curve-ground").setAttribute("d", `M${PAD} ${y(0)}H${Math.max(this.#width - PAD, PAD)}`);
  }

  #handle(at) {
    const handle = svg("circle", { r: 8, role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": 1, "data-index": at });
    const move = (event) => {
      const share = 1 - (event.clientY - this.node.getBoundingClientRect().top - PAD) / (HEIGHT - 2 * PAD);
      this.#tell(at, share);
    };
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
      handle.addEventListener("pointermove", move);
    });
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => handle.removeEventListener("pointermove", move));
    handle.addEventListener("keydown", (event) => {
      const now = this.#lastEmotions[at][this.#selected] ?? 0;
      const to = event.key in KEYS ? now + KEYS[event.key] : { Home: 0, End: 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.#tell(at, to);
    });
    this.node.append(handle);
    return handle;
  }

  #tell(at, value) {
    this.#onInput(at, Math.round(Math.min(Math.max(value, 0), 1) / STEP) * STEP);
  }

  #x(at) {
    const count = this.#lastEmotions.length;
    const room = Math.max(this.#width - 2 * PAD, 1);
    return (PAD + (count > 1 ? (at * room) / (count - 1) : room / 2)).toFixed(1);
  }

  #resize() {
    const width = this.node.clientWidth;
    if (!width || width === this.#width) return;
    this.#width = width;
    this.node.dispatchEvent(new CustomEvent("resized"));
  }
}

const y = (value) => (HEIGHT - PAD - value * (HEIGHT - 2 * PAD)).toFixed(1);
