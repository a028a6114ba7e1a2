// A plot of the last hour: lines over time, drawn as SVG, with a legend that says what each is now.

import { el, svg, write } from "../dom.js";
import { t } from "../texts.js";
import { span } from "./amounts.js";

const WIDTH = 600;
const HEIGHT = 150;
/** The axis grows with what is known, up to an hour. */
const SHORTEST_S = 300;
const LONGEST_S = 3600;
const GRID = [0.25, 0.5, 0.75];

export class Plot {
  #title = el("h3", {});
  #legend = el("ul", { class: "tts-sys-legend" });
  #lines = svg("g", {});
  #top = el("span", { class: "tts-sys-top" });
  #from = el("span", {});
  #now = el("span", {});
  #picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" });

  constructor() {
    const grid = GRID.map((share) => svg("path", { class: "tts-sys-grid", d: `M0 ${HEIGHT * share}H${WIDTH}` }));
    this.#picture.append(...grid, this.#lines);
    this.node = el("figure", { class: "tts-sys-plot" },
      el("figcaption", {}, this.#title, this.#top),
      this.#picture,
      el("p", { class: "tts-sys-axis" }, this.#from, this.#now),
      this.#legend);
  }

  /** title; top: the value at the upper edge and its words; at: seconds since 1970; series: {name, values, now}. */
  show({ title, top, topWords, at, series }) {
    write(this.#title, title);
    write(this.#top, topWords);
    const end = at.at(-1);
    const length = Math.min(LONGEST_S, Math.max(SHORTEST_S, end - at[0]));
    write(this.#from, t("system_ago", { time: span(60 * Math.round(length / 60)) }));
    write(this.#now, t("system_now"));
    this.#picture.setAttribute("role", "img"); // while it is empty there is nothing to name
    this.#picture.setAttribute("aria-label", `${title}. ${series.map((one) => `${one.name}: ${one.now}`).join(", ")}`);
    const x = at.map((moment) => (WIDTH * (moment - end + length)) / length);
    this.#lines.replaceChildren(...series.map((one, index) => svg("path", { class: `tts-sys-line tts-sys-hue-${index % 5}`, d: path(x, one.values, top) })));
    this.#legend.replaceChildren(...series.map((one, index) =>
      el("li", {}, el("i", { class: `tts-sys-hue-${index % 5}` }), `${one.name} `, el("strong", {}, one.now))));
  }
}

/** Points that are there, joined; a value that is not known breaks the line. */
function path(x, values, top) {
  let drawn = "";
  let joined = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      joined = false;
      return;
    }
    const y = HEIGHT - 2 - (HEIGHT - 6) * Math.min(1, top > 0 ? value / top : 0);
    drawn += `${joined ? "L" : "M"}${x[index].toFixed(1)} ${y.toFixed(1)}`;
    joined = true;
  });
  return drawn;
}

/** The next round number above `value`, so that the upper edge has a short name. */
export function roundAbove(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
