// One take of the history as a row.

import { el } from "../dom.js";
import { has, t } from "../texts.js";
import { act, seconds, tool, when } from "./parts.js";

const FORMATS = ["flac", "wav", "mp3", "opus"];

/** actions: voice (its name), chosen, choose(yes), listen(button), star(button), use(), save(format), remove(button). */
export function takeRow(take, actions) {
  const name = take.text.length > 60 ? `${take.text.slice(0, 60)}…` : take.text;
  const box = el("input", { type: "checkbox", "aria-label": t("history_choose", { name }) });
  box.checked = actions.chosen;
  box.addEventListener("change", () => actions.choose(box.checked));
  const formats = el("select", { class: "tts-lib-format", "aria-label": t("history_save", { name }) }, el("option", { value: "" }, t("history_save_as")), ...FORMATS.map((format) => el("option", { value: format }, format.toUpperCase())));
  formats.addEventListener("change", () => {
    actions.save(formats.value);
    formats.value = "";
  });
  const listen = tool(t("history_listen", { name }), "play", () => actions.listen(listen));
  const star = tool(t("history_star", { name }), "star", () => actions.star(star), { "aria-pressed": String(take.starred) });
  const use = act(t("library_use"), t("history_use", { name }), () => actions.use());
  const remove = tool(t("history_delete", { name }), "remove", () => actions.remove(remove));
  return el("li", { class: "tts-lib-item tts-lib-take", "data-id": take.id }, box,
    el("div", { class: "tts-lib-words" },
      el("p", { class: "tts-lib-text", dir: "auto", title: take.text.length > 200 ? take.text : null }, take.text),
      el("p", { class: "tts-lib-hint" }, facts(take, actions.voice).join(" · ")),
      details(take)),
    el("div", { class: "tts-lib-tools" }, use, listen, star, formats, remove));
}

function facts(take, voice) {
  const known = has(`language_${take.language}`) ? t(`language_${take.language}`) : take.language;
  const spoken = take.language === "auto" ? "" : known;
  const found = [when(take.created_at), voice, take.engine, spoken, seconds(take.duration_s), t("history_rtf", { n: take.rtf.toFixed(2) })];
  if (take.seed !== null) found.push(t("history_seed", { n: take.seed }));
  const marked = (take.segments ?? []).filter((segment) => segment.findings?.length).length;
  if (marked) found.push(t("history_marked", { n: marked }));
  return found.filter(Boolean);
}

/** What made the take; built when it is opened, because most never are. */
function details(take) {
  const node = el("details", { class: "tts-lib-details" }, el("summary", {}, t("history_details")));
  node.addEventListener("toggle", () => {
    if (node.children.length > 1) return;
    const { text, ...request } = take.request;
    const shown = { ...request, weights: take.weights, synthesis_s: take.synthesis_s, source: take.source };
    node.append(el("pre", {}, JSON.stringify(shown, null, 1)));
  });
  return node;
}
