// Files dropped on the Speak tab: a take restores what made it, a text is taken over.

import { readTake } from "./takefile.js";

const LARGEST_TEXT = 4 << 20;

/** options: active() whether drops are for this tab, onTake(about), onText(text), onNothing(file name). */
export function acceptFiles(node, { active, onTake, onText, onNothing }) {
  const hover = (yes) => node.classList.toggle("tts-dropping", yes);
  const carriesFiles = (event) => active() && [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hover(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && hover(false));
  addEventListener("drop", async (event) => {
    hover(false);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (!file) return;
    const take = await readTake(file);
    if (take) onTake(take);
    else if (/\.(txt|md)$/i.test(file.name) && file.size < LARGEST_TEXT) onText(await file.text());
    else onNothing(file.name);
  });
}
