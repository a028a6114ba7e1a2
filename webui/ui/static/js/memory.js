// What a person set, kept in this browser: text, voice, emotion, speed and switches survive a reload and a crash.

const KEY = "tts-launcher.page";
const WRITE_DELAY_MS = 150;

const values = read();
const changed = new Set(); // what this page has to write
let timer = 0;

function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return stored && typeof stored === "object" && !Array.isArray(stored) ? stored : {};
  } catch {
    return {}; // storage is off or holds something else: the page works, it only does not remember
  }
}

function flush() {
  clearTimeout(timer);
  timer = 0;
  try {
    // Another tab may have written meanwhile: what it set and this one did not stays.
    const stored = read();
    for (const name of changed) stored[name] = values[name];
    localStorage.setItem(KEY, JSON.stringify(stored));
    changed.clear();
  } catch {
    // storage is full or off: see above
  }
}

/** The stored value, if it is of the type of `fallback`; else `fallback`. */
export function recall(name, fallback) {
  const value = values[name];
  return typeof value === typeof fallback && value !== null ? value : fallback;
}

/** Stores a value soon; at once when the page is left. */
export function remember(name, value) {
  values[name] = value;
  changed.add(name);
  if (!timer) timer = setTimeout(flush, WRITE_DELAY_MS);
}

addEventListener("pagehide", () => timer && flush());
