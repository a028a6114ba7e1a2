// The choices of a row: voices of the engine, and the eight emotions.

import { el } from "../dom.js";
import { pick, t } from "../texts.js";

export const EMOTIONS = ["happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm"];
const MIXED = "mixed";

/** Fills a select with the voices; `first` are the words for the default. A chosen voice that is not there stays. */
export function fillVoices(select, info, chosen, first) {
  const voices = info?.voices ?? [];
  const options = [["", first], ...voices.map((voice) => [voice.id, pick(voice.title) || voice.id])];
  if (chosen && !voices.some((voice) => voice.id === chosen)) options.push([chosen, chosen]);
  select.replaceChildren(...options.map(([value, words]) => el("option", { value }, words)));
  select.value = chosen;
}

/** Fills a select with the emotions; what is more than one of them is shown and cannot be chosen. */
export function fillEmotions(select, emotion) {
  const values = Array.isArray(emotion) ? Object.fromEntries(emotion.map((value, at) => [EMOTIONS[at], value])) : (emotion ?? {});
  const given = Object.entries(values).filter(([, value]) => value);
  const one = given.length === 1 ? given[0][0] : given.length ? MIXED : "";
  const options = [["", t("batch_emotion_none")], ...EMOTIONS.map((name) => [name, t(`emotion_${name}`)])];
  if (one === MIXED) options.push([MIXED, given.map(([name]) => t(`emotion_${name}`)).join(" + ")]);
  select.replaceChildren(...options.map(([value, words]) => el("option", { value, disabled: value === MIXED }, words)));
  select.value = one;
}

/** The field `emotion` for what was chosen, as strong as IndexTTS speaks one. */
export const emotionOf = (name) => (name ? { [name]: 0.8 } : null);
