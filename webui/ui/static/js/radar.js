// The radar: eight values as a shape around a centre, drawn as SVG. The filled shape is what will be heard (values
// times intensity), the thin line what the sliders say.

import { el, svg } from "./dom.js";

const SIZE = 224;
const CENTRE = SIZE / 2;
const RADIUS = 80;
const LABEL_RADIUS = 94;
const RINGS = [0, 0.25, 0.5, 0.75, 1];
const INNER = 0.1; // zero is a small shape, not a point: one value alone would else be a line that nobody sees

export class Radar {
  #names;
  #wish = svg("polygon", { class: "tts-radar-wish" });
  #heard = svg("polygon", { class: "tts-radar-heard" });
  #dots;
  #labels;
  #picture;

  /** names: the axes, clockwise from the top; onDrag(index, value): a person pulled at the shape. */
  constructor(place, names, onDrag) {
    this.#names = names;
    this.#dots = names.map((name) => svg("circle", { r: 4, "data-emotion": name }));
    this.#labels = names.map((name, index) => {
      const { x, y } = this.#point(index, LABEL_RADIUS);
      const anchor = Math.abs(x - CENTRE) < 8 ? "middle" : x > CENTRE ? "start" : "end";
      return svg("text", { x, y: y + 4, "text-anchor": anchor, "data-emotion": name });
    });
    const rings = RINGS.map((share) => svg("polygon", { class: "tts-radar-ring", points: this.#outline(names.map(() => share)) }));
    const spokes = names.map((_, index) => {
      const { x, y } = this.#point(index, RADIUS);
      return svg("line", { class: "tts-radar-spoke", x1: CENTRE, y1: CENTRE, x2: x, y2: y });
    });
    this.#picture = svg("svg", { class: "tts-radar", viewBox: `-44 0 ${SIZE + 88} ${SIZE}`, role: "img" },
      ...rings, ...spokes, this.#wish, this.#heard, ...this.#dots, ...this.#labels);
    place.append(el("div", { class: "tts-radar-frame" }, this.#picture));
    this.#listen(onDrag);
  }

  /** The pointer takes hold of the axis that is nearest to it; sliders do the same for keys and screen readers. */
  #listen(onDrag) {
    let held = null;
    const place = (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.#picture.getScreenCTM().inverse());
      const [x, y] = [at.x - CENTRE, at.y - CENTRE];
      const count = this.#names.length;
      const nearest = Math.round(((Math.atan2(y, x) + Math.PI / 2) / (2 * Math.PI)) * count + count) % count;
      return { nearest, x, y };
    };
    const pull = (event) => {
      const { x, y } = place(event);
      const axis = this.#point(held, 1);
      const along = x * (axis.x - CENTRE) + y * (axis.y - CENTRE);
      onDrag(held, Math.min(Math.max((along / RADIUS - INNER) / (1 - INNER), 0), 1));
    };
    this.#picture.addEventListener("pointerdown", (event) => {
      const { nearest, x, y } = place(event);
      if (Math.hypot(x, y) > RADIUS * 1.12) return;
      event.preventDefault();
      held = nearest;
      this.#picture.setPointerCapture(event.pointerId);
      pull(event);
    });
    this.#picture.addEventListener("pointermove", (event) => held !== null && pull(event));
    for (const end of ["pointerup", "pointercancel"]) this.#picture.addEventListener(end, () => (held = null));
  }

  /** Sets the axes' words. */
  setLabels(words) {
    this.#labels.forEach((label, index) => (label.textContent = words[index]));
  }

  /** values: 0 to 1 in the order of the names; intensity: 0 to 1; description: the same in words. */
  draw(values, intensity, description) {
    const heard = values.map((value) => value * intensity);
    this.#wish.setAttribute("points", this.#outline(values));
    this.#heard.setAttribute("points", this.#outline(heard));
    heard.forEach((value, index) => {
      const { x, y } = this.#point(index, reach(value));
      this.#dots[index].setAttribute("cx", x.toFixed(2));
      this.#dots[index].setAttribute("cy", y.toFixed(2));
      this.#dots[index].classList.toggle("tts-zero", value === 0);
      this.#labels[index].classList.toggle("tts-zero", value === 0);
    });
    this.#picture.setAttribute("aria-label", description);
  }

  #point(index, radius) {
    const angle = (index / this.#names.length) * 2 * Math.PI - Math.PI / 2;
    return { x: CENTRE + Math.cos(angle) * radius, y: CENTRE + Math.sin(angle) * radius };
  }

  #outline(shares) {
    return shares
      .map((share, index) => this.#point(index, reach(share)))
      .map(({ x, y }) => `${x.toFixed(2)},${y.toFixed(2)}`)
      .join(" ");
  }
}

/** The distance from the centre of a value from 0 to 1. */
function reach(value) {
  return RADIUS * (INNER + (1 - INNER) * value);
}
