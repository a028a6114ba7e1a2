// The tab of presets and of how words are read.

import { el } from "./dom.js";
import { Glossary } from "./library/glossary.js";
import { prepare } from "./library/parts.js";
import { Presets } from "./library/presets.js";
import { Pronunciation } from "./library/pronunciation.js";

export async function open(panel, { engine }) {
  await prepare();
  const presets = new Presets(panel);
  const glossary = new Glossary(panel);
  const pronunciation = new Pronunciation(engine, (term) => glossary.begin(term));
  panel.append(el("div", { class: "tts-lib-columns" }, presets.node, el("div", { class: "tts-lib-stack" }, glossary.node, pronunciation.node)));
  return { show: () => Promise.all([presets.load(), glossary.load()]) };
}
