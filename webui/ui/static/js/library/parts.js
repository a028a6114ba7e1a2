// What the library's tabs are made of: texts that follow the language, fields, buttons, questions, files.

import { el, icon, write } from "../dom.js";
import { addTexts, currentLanguage, onLanguage, t } from "../texts.js";
import { CallFailure, sentence } from "./calls.js";

export const ICONS = {
  play: ["M7 5l12 7-12 7z"],
  stop: ["M7 7h10v10H7z"],
  star: ["M12 4l2.5 5.1 5.6.8-4 4 .9 5.6-5-2.6-5 2.6.9-5.6-4-4 5.6-.8z"],
  edit: ["M4 20h4L19 9l-4-4L4 16z", "M13 7l4 4"],
  remove: ["M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13"],
  save: ["M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14"],
  open: ["M12 16V5M7.5 9L12 4.5 16.5 9M5 20h14"],
  microphone: ["M12 4a3 3 0 0 0-3 3v4a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3z", "M6 11a6 6 0 0 0 12 0M12 17v3"],
  keep: ["M5 4h11l3 3v13H5z", "M8 4v5h7V4", "M8 20v-6h8v6"],
  add: ["M12 5v14M5 12h14"],
  again: ["M19 12a7 7 0 1 1-2.1-5", "M17 3v4.5h-4.5"],
  pause: ["M8 6v12M16 6v12"],
  use: ["M5 12h13", "m12 6 6 6-6 6"],
  copy: ["M9 9h10v11H9z", "M5 15V4h10"],
};

let prepared = null;

/** Loads what all tabs of the library share: a style sheet and texts. */
export function prepare() {
  const texts = (code) => new URL(`../../i18n/library.${code}.json`, import.meta.url).href;
  prepared ??= Promise.all([style(new URL("../../css/tab_library.css", import.meta.url).href), addTexts({ en: texts("en"), zh: texts("zh") })]);
  return prepared.catch((error) => {
    prepared = null;
    throw error;
  });
}

function style(href) {
  return new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href, onload: resolve, onerror: () => reject(new Error(href)) }));
  });
}

/** Keeps the words of a node, or of one of its attributes, in the reader's language; returns the node. */
export function worded(node, key, attribute = "") {
  onLanguage(() => {
    if (attribute) node.setAttribute(attribute, t(key));
    else write(node, t(key));
  });
  return node;
}

/** A button with an icon and words. kind: "main", "plain" or "quiet". */
export function button(key, shape, onclick, kind = "plain") {
  return el("button", { type: "button", class: `tts-lib-button tts-lib-${kind}`, onclick }, shape && icon(...ICONS[shape]), worded(el("span"), key));
}

/** A round button of a row: an icon, and words for screen readers and the pointer. */
export function tool(label, shape, onclick, properties = {}) {
  return el("button", { type: "button", class: "tts-lib-tool", "aria-label": label, title: label, onclick, ...properties }, icon(...ICONS[shape]));
}

/** The button of a row that most people want: a short word to see, the whole sentence to hear. */
export function act(words, label, onclick) {
  return el("button", { type: "button", class: "tts-lib-button tts-lib-act", "aria-label": label, title: label, onclick }, words);
}

/** A labelled control; the label is above it. */
export function field(key, control, hint = "") {
  control.id ||= `tts-field-${(field.count += 1)}`;
  const parts = [worded(el("label", { for: control.id }), key), control];
  if (hint) {
    const words = worded(el("p", { class: "tts-lib-hint", id: `${control.id}-hint` }), hint);
    control.setAttribute("aria-describedby", words.id);
    parts.push(words);
  }
  return el("div", { class: "tts-lib-field" }, ...parts);
}
field.count = 0;

/** A box to tick, with its words beside it. */
export function tick(key, properties = {}) {
  const input = el("input", { type: "checkbox", ...properties });
  return { input, node: el("label", { class: "tts-lib-tick" }, input, worded(el("span"), key)) };
}

/** A card of the page with a heading and what stands beside it. */
export function card(key, ...beside) {
  const title = worded(el("h2", { id: `tts-card-${(card.count += 1)}` }), key);
  return el("section", { class: "tts-panel tts-lib-card", "aria-labelledby": title.id }, el("div", { class: "tts-lib-head" }, title, el("div", { class: "tts-lib-row" }, ...beside)));
}
card.count = 0;

/** A line that says what happened; a failure is told at once, anything else when the reader pauses. */
export class Notice {
  node = el("p", { class: "tts-lib-notice", role: "status", hidden: true });

  tell(text) {
    this.node.dataset.kind = "note";
    this.node.setAttribute("role", "status");
    this.#show(text);
  }

  fail(error) {
    if (!(error instanceof CallFailure)) console.warn(error);
    this.node.dataset.kind = "failure";
    this.node.setAttribute("role", "alert");
    this.#show(error instanceof CallFailure ? sentence(error) : t("library_error_server"));
  }

  clear() {
    this.node.hidden = true;
    this.node.textContent = "";
  }

  #show(text) {
    this.node.hidden = false;
    this.node.textContent = text;
    this.node.scrollIntoView({ block: "nearest" });
  }
}

/** Runs `work` with `control` switched off, and tells `notice` of a failure; true when there was none. */
export async function attempt(notice, control, work) {
  notice.clear();
  control.disabled = true;
  try {
    await work();
    return true;
  } catch (error) {
    notice.fail(error);
    return false;
  } finally {
    control.disabled = false;
  }
}

/** Asks in a dialog; resolves true when the person agreed. */
export function ask(place, question, agree) {
  return new Promise((resolve) => {
    const yes = el("button", { type: "submit", value: "yes", class: "tts-lib-button tts-lib-main" }, agree);
    const no = el("button", { type: "submit", value: "no", class: "tts-lib-button tts-lib-plain", autofocus: true }, t("library_cancel"));
    const words = el("p", { id: "tts-lib-question" }, question);
    const dialog = el("dialog", { class: "tts-lib-dialog", "aria-labelledby": words.id }, el("form", { method: "dialog" }, words, el("div", { class: "tts-lib-row" }, yes, no)));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    place.append(dialog);
    dialog.showModal();
  });
}

/** Opens a form in a dialog; `save` may throw, then the form stays open with the reason. fields: from `field`. */
export function edit(place, title, fields, save) {
  const notice = new Notice();
  const yes = el("button", { type: "submit", class: "tts-lib-button tts-lib-main" }, t("library_save"));
  const no = el("button", { type: "button", class: "tts-lib-button tts-lib-plain", onclick: () => dialog.close() }, t("library_cancel"));
  const heading = el("h2", { id: "tts-lib-form-title" }, title);
  const form = el("form", {}, heading, ...fields, notice.node, el("div", { class: "tts-lib-row" }, yes, no));
  const dialog = el("dialog", { class: "tts-lib-dialog", "aria-labelledby": heading.id }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await attempt(notice, yes, save)) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  place.append(dialog);
  dialog.showModal();
}

/** A button that opens files and hands them on; files dropped on `target` come the same way. */
export function opener(key, shape, accept, target, take, { multiple = false, kind = "plain" } = {}) {
  const input = el("input", { type: "file", accept, hidden: true, tabindex: -1, multiple });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    if (files.length) take(files);
  });
  const opened = button(key, shape, () => input.click(), kind);
  for (const name of ["dragover", "dragleave", "drop"]) {
    target.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      target.classList.toggle("tts-lib-drop", name === "dragover");
      const files = [...event.dataTransfer.files];
      if (name === "drop" && files.length) take(multiple ? files : files.slice(0, 1));
    });
  }
  return el("span", { class: "tts-lib-open" }, opened, input);
}

/** Saves what a route gives as a file. */
export function save(href) {
  const link = el("a", { href, download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Seconds since 1970 as a date and time of the reader. */
export function when(seconds) {
  return new Date(seconds * 1000).toLocaleString(currentLanguage(), { dateStyle: "medium", timeStyle: "short" });
}

/** Seconds as people read them. */
export const seconds = (value) => t("library_seconds", { n: value >= 100 ? Math.round(value) : value.toFixed(1) });

/** Bytes as people read them. */
export function size(bytes) {
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

/** Calls `work` once nothing has happened for a moment. */
export function settled(work, delayMs = 250) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), delayMs);
  };
}
