// A sentence beside the control at fault: what is wrong and what to do. Never a class name, never a red box.

import { el, icon } from "./dom.js";

export class Message {
  #words = el("span", { class: "tts-message-words" });
  #link = el("a", { class: "tts-link", hidden: true });

  /** `place`: the element at whose end the sentence appears. `control`: what it speaks of, for screen readers. */
  constructor(place, control = null) {
    this.#control = control;
    this.node = el(
      "p",
      { class: "tts-message", role: "alert", hidden: true, id: `tts-message-${(Message.count += 1)}` },
      icon("M12 8v5", "M12 16.5v.01", "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z"),
      this.#words,
      this.#link,
    );
    place.append(this.node);
  }

  static count = 0;
  #control;

  /** Shows one sentence or several; `link` is `{text, href}`. */
  show(text, link = null) {
    this.#words.textContent = text;
    this.#link.hidden = link === null;
    if (link) {
      this.#link.textContent = link.text;
      this.#link.href = link.href;
    }
    this.node.hidden = false;
    this.#control?.setAttribute("aria-describedby", this.node.id);
    this.#control?.setAttribute("aria-invalid", "true");
  }

  clear() {
    this.node.hidden = true;
    this.#words.textContent = "";
    this.#control?.removeAttribute("aria-describedby");
    this.#control?.removeAttribute("aria-invalid");
  }
}
