// The tab of voices: what there is to speak with, and adding one's own.

import { el } from "./dom.js";
import { AddVoice } from "./library/add_voice.js";
import { card, Notice, prepare } from "./library/parts.js";
import { VoiceList } from "./library/voice_list.js";
import { onLanguage, pick, t } from "./texts.js";

export async function open(panel, { engine }) {
  await prepare();
  const notice = new Notice();
  const list = new VoiceList(panel, engine, notice);
  const adding = new AddVoice(engine, async (voice) => {
    await list.load();
    notice.tell(t(voice.new ? "voices_added" : "voices_known", { name: voice.name }));
  });
  const hint = el("p", { class: "tts-lib-notice", "data-kind": "note", hidden: true });
  const show = () => {
    hint.hidden = !engine.info || (engine.info.capabilities ?? []).includes("clone");
    hint.textContent = engine.info ? t("voices_no_clone", { engine: pick(engine.info.title) || engine.info.name }) : "";
    list.show();
  };
  const added = card("voices_add_title");
  added.append(hint, adding.node);
  panel.append(el("div", { class: "tts-lib-columns" }, list.node, added));
  engine.onChange(show);
  onLanguage(show);
  return { show: () => list.load(), hide: () => { list.quiet(); adding.quiet(); } };
}
