// How long a text will last and how long it takes, from the takes of this engine so far.

import { recall, remember } from "./memory.js";
import { plain } from "./tags.js";

const LENGTH_PER_SECOND = 18.75; // letters a second, until a take has shown better: webui/text.py, MAX_CLAUSE_LENGTH
const MEMORY = 0.6; // how much of what is known stays when a take is over

/** How long a text takes to say, in English letters: Han, kana and digits count 5 (webui/text.py: spoken_length). */
function spokenLength(text) {
  const count = (pattern) => text.match(pattern)?.length ?? 0;
  return count(/\p{L}/gu) + 4 * count(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/gu) + 5 * count(/\p{N}/gu);
}

/** Seconds of speech, and seconds until they are made (null until a take has shown it). */
export function estimate(text, speed, engine) {
  const known = recall("pace", {})[engine] ?? {};
  const seconds = spokenLength(plain(text)) / ((known.length ?? LENGTH_PER_SECOND) * speed);
  return { seconds, work: known.rtf ? seconds * known.rtf : null };
}

/** Learns from a take that was spoken to its end. */
export function learn(take) {
  if (take.seconds < 0.5 || !take.synthesisS) return;
  const paces = recall("pace", {});
  const before = paces[take.engine] ?? {};
  const length = spokenLength(plain(take.request.text)) / (take.seconds * (take.request.speed || 1));
  const mixed = (old, now) => (Number.isFinite(old) ? old * MEMORY + now * (1 - MEMORY) : now);
  remember("pace", { ...paces, [take.engine]: { length: mixed(before.length, length), rtf: mixed(before.rtf, take.rtf) } });
}
