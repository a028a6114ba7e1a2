// The dialog that changes a row: its text, voice, speed and seed.

import { el } from "../dom.js";
import { edit, field } from "../library/parts.js";
import { t } from "../texts.js";
import { fillVoices } from "./choices.js";

/** Opens the dialog; `save(fields)` may throw, then it stays open with the reason. */
export function editRow(place, row, engine, save) {
  const { text, voice = "", reference = "", speed = 1, seed = "" } = row.request;
  const words = el("textarea", { rows: 5, dir: "auto" });
  words.value = text;
  const name = el("input", { type: "text", value: row.name, maxlength: 80 });
  const voices = el("select", {});
  fillVoices(voices, engine.info, voice || reference, t("batch_voice_default"));
  const pace = el("input", { type: "number", min: 0.25, max: 4, step: 0.05, value: speed, inputmode: "decimal" });
  const seeds = el("input", { type: "number", min: 0, max: 4294967295, step: 1, value: seed, inputmode: "numeric" });
  const fields = [
    field("batch_text", words),
    field("batch_voice", voices),
    el("div", { class: "tts-batch-pair" }, field("speed_label", pace), field("batch_seed", seeds)),
    field("batch_name", name),
  ];
  edit(place, t("batch_row", { n: row.position }), fields, () => save({
    text: words.value,
    voice: voices.value || null,
    speed: Number(pace.value),
    seed: seeds.value === "" ? null : Number(seeds.value),
    name: name.value,
  }));
}
