// The engine note: what kind of voice this is and what other engines add, in the engine's own words; and, while the
// embedded voice speaks, how to get the next one.

import { el, icon, write } from "./dom.js";
import { onLanguage, pick, t } from "./texts.js";

const EMBEDDED = "kokoro";

/** Shows the notes of `engine.info`; stays away while there are none. */
export function buildNote(place, engine) {
  const title = el("strong");
  const words = el("p");
  const more = el("p", { hidden: true });
  const command = el("code", { class: "tts-command" }, "tts-launcher start --engine indextts2.5 --install");
  const note = el("aside", { class: "tts-note", hidden: true },
    icon("M12 11v6", "M12 7.5v.01", "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z"), el("div", {}, title, words, more, command));
  place.append(note);
  const show = () => {
    const text = pick(engine.info?.notes);
    write(title, t("note_label"));
    write(words, text);
    write(more, t("note_more"));
    more.hidden = command.hidden = engine.info?.name !== EMBEDDED;
    note.hidden = !text;
  };
  engine.onChange(show);
  onLanguage(show);
}
