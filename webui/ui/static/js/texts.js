// The page's words in the reader's language, from the same catalogs as Gradio's labels.

let catalog = {};
let language = "en";
const listeners = new Set();
const added = []; // addresses by language code, of the parts that were opened
let switches = 0; // the last one counts: an answer to an earlier one may come after it

/** The language now shown. */
export const currentLanguage = () => language;

/** The words under `key` with `{name}` places filled in; the key itself when there are none, so a gap is seen. */
export function t(key, values = {}) {
  const text = catalog[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

/** Whether the catalog has words under `key`. */
export const has = (key) => key in catalog;

/** Of texts by language code, the one in the reader's language, else English, else any. */
export function pick(texts) {
  if (!texts) return "";
  return texts[language] ?? texts.en ?? Object.values(texts)[0] ?? "";
}

/** Calls `listener` now if words are there, and after every change of language. */
export function onLanguage(listener) {
  listeners.add(listener);
  listener();
}

/** The first of the browser's languages that the page has. */
export function browserLanguage(available) {
  for (const tag of navigator.languages ?? [navigator.language]) {
    const code = tag.toLowerCase().split("-")[0];
    if (available.includes(code)) return code;
  }
  return available[0];
}

/** Loads and shows a language. A catalog that cannot be had leaves the words as they are. */
export async function setLanguage(code, address) {
  const mine = (switches += 1);
  let parts;
  do {
    // Again when a part of the page was opened meanwhile: its words belong to them.
    parts = await Promise.all([load(address), ...added.map((addresses) => load(addresses[code]))]);
    if (mine !== switches || parts.includes(null)) return;
  } while (parts.length <= added.length);
  catalog = Object.assign({}, ...parts);
  language = code;
  document.documentElement.lang = code === "zh" ? "zh-CN" : code;
  for (const listener of listeners) listener();
}

/** Adds the texts of a part of the page that was opened: addresses by language code. Throws when they cannot be had. */
export async function addTexts(addresses) {
  let code;
  let texts;
  do {
    code = language;
    texts = await load(addresses[code]);
    if (!texts) throw new Error(addresses[code]);
  } while (code !== language); // it was switched meanwhile
  added.push(addresses);
  catalog = { ...catalog, ...texts };
}

/** The words at an address; none without one, null when they cannot be had. */
async function load(address) {
  if (!address) return {};
  const answer = await fetch(address);
  return answer.ok ? answer.json() : null;
}
