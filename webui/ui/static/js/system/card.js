// A card of the System tab: a heading, perhaps buttons beside it, and a body that is filled again and again.

import { el, write } from "../dom.js";
import { onLanguage, t } from "../texts.js";

let count = 0;

export class Card {
  #heading = el("h2", { id: `tts-sys-card-${(count += 1)}` });
  #key;

  /** key: of the heading; children: buttons and the like beside it. */
  constructor(key, ...children) {
    this.#key = key;
    this.body = el("div", { class: "tts-sys-body" });
    this.node = el("section", { class: "tts-sys-card", "data-card": key, "aria-labelledby": this.#heading.id },
      el("header", {}, this.#heading, ...children), this.body);
    onLanguage(() => write(this.#heading, t(this.#key)));
  }
}

/** A small button; `words` is a function, because the language may change. */
export function button(words, act, properties = {}) {
  const node = el("button", { type: "button", class: "tts-chip", onclick: act, ...properties });
  onLanguage(() => write(node, words()));
  return node;
}

/** A button for a row that is made anew at every change. */
export const chip = (words, act, properties = {}) => el("button", { type: "button", class: "tts-chip", onclick: act, ...properties }, words);

/** A bar with a mark at `limit`; share and limit from 0 to 1. */
export function meter(share, words, limit = null) {
  const mark = limit === null ? null : el("b", { style: `left: ${100 * limit}%`, title: t("system_limit") });
  const full = limit !== null && share >= limit;
  return el("div", { class: `tts-sys-meter${full ? " tts-sys-full" : ""}`, role: "meter", "aria-label": words, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share) },
    el("i", { style: `width: ${Math.min(100, 100 * share)}%` }), mark);
}

/** What stands there when there is nothing. */
export const empty = (words) => el("p", { class: "tts-sys-quiet" }, words);

/** Replaces what a node holds, but only when it would look different: the keyboard's place in it is kept. */
export function refill(node, nodes) {
  const fresh = el("div", {}, ...nodes);
  const drawn = new XMLSerializer().serializeToString(fresh);
  if (drawn === node.dataset.drawn) return;
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  node.dataset.drawn = drawn;
  node.replaceChildren(...fresh.childNodes);
  if (focused) node.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}
