// Wires the page: every panel's element, what it remembers, and what happens when a person acts. The one place where
// panels meet; none of them knows another.

import { appear } from "./dom.js";
import { acceptFiles } from "./drop.js";
import { EngineWatch } from "./engine.js";
import { estimate } from "./estimate.js";
import { recall, remember } from "./memory.js";
import { AdvancedPanel } from "./panel_advanced.js";
import { buildBanner } from "./panel_banner.js";
import { EmotionPanel } from "./panel_emotion.js";
import { applyTheme, buildMasthead, knownTheme } from "./panel_masthead.js";
import { buildNote } from "./panel_note.js";
import { Player } from "./panel_player.js";
import { SeedPanel } from "./panel_seed.js";
import { SegmentsPanel } from "./panel_segments.js";
import { TakesPanel } from "./panel_takes.js";
import { TextPanel } from "./panel_text.js";
import { VoicePanel } from "./panel_voice.js";
import { readRequest, useRequest } from "./request.js";
import { Speaking } from "./speaking.js";
import { Tabs } from "./tabs.js";
import { TakeStore } from "./take_store.js";
import { browserLanguage, setLanguage, t } from "./texts.js";

const page = JSON.parse(document.querySelector("meta[name=tts-page]").content);
const address = (path) => new URL(path, document.baseURI).href;

async function start() {
  applyTheme(knownTheme(recall("theme", "auto")));
  const chosen = recall("page_language", "");
  const first = page.languages.includes(chosen) ? chosen : browserLanguage(page.languages);
  const [elements] = await Promise.all([findParts(), setLanguage(first, address(page.catalogs[first]))]);
  applyTheme(knownTheme(recall("theme", "auto"))); // Gradio has set the system's meanwhile
  const engine = new EngineWatch();
  const store = new TakeStore();
  const panels = build(elements, engine, store);
  const tabs = new Tabs(elements.tabBar, elements.tabs, { engine, page, address });
  connect(elements, panels, tabs);
  addEventListener("tts:ask", (event) => Object.assign(event.detail, { request: { ...readRequest(panels), ...panels.seed.locked } }));
  engine.start();
  store.open().then(() => panels.speaking.restore());
  document.documentElement.dataset.ready = "true";
}

async function findParts() {
  const { emotions, ...parts } = page.parts;
  const find = async (ids) => Object.fromEntries(await Promise.all(Object.entries(ids).map(async ([name, id]) => [name, await appear(id)])));
  const tabs = await Promise.all(page.tabs.map(async (tab) => ({ ...tab, node: await appear(tab.panel) })));
  return { ...(await find(parts)), emotions: await find(emotions), tabs };
}

const keep = (values) => Object.entries(values).forEach(([name, value]) => remember(name, value));

function build(at, engine, store) {
  buildMasthead(at.masthead, {
    title: page.title,
    logOut: page.logOut,
    languages: page.languages,
    theme: recall("theme", "auto"),
    onTheme: (theme) => remember("theme", theme),
    onLanguage: (code) => {
      remember("page_language", code);
      setLanguage(code, address(page.catalogs[code])).catch(() => {}); // offline: the words stay as they are
    },
  });
  buildBanner(at.banner, engine);
  buildNote(at.note, engine);
  const panels = {};
  const expect = () => panels.text.expect(estimate(panels.text.text, panels.voice.speed.value, engine.info?.name ?? ""));
  const changed = () => {
    if (!panels.speaking) return;
    panels.segments.changed();
    expect();
  };
  addEventListener("tts:taken", expect); // it has shown how long a text takes
  const read = () => readRequest(panels);
  panels.text = new TextPanel(at.text, at.textFooter, {
    limit: page.maxTextChars,
    text: recall("text", ""),
    onChange: (value) => (remember("text", value), changed()),
    feeling: () => panels.emotion.state,
    onExample: (mood) => (panels.emotion.feel(mood), panels.speaking.generate({ instead: true })),
    onBack: (feeling) => panels.emotion.put(feeling),
  });
  panels.voice = new VoicePanel(at.voiceChoices, at.speed, engine, {
    voice: recall("voice", ""),
    language: recall("language", "auto"),
    speed: recall("speed", 1),
    onChange: (values) => (keep(values), changed()),
  });
  const emotionParts = { panel: at.emotionPanel, moods: at.moods, body: at.emotionBody, radar: at.radar, intensity: at.intensity, emotions: at.emotions };
  panels.emotion = new EmotionPanel(emotionParts, engine, {
    values: {
      emotion: recall("emotion", {}),
      intensity: recall("intensity", 1),
      ...{ way: recall("emotion_way", "vector"), recording: recall("emotion_recording", "") },
      ...{ text: recall("emotion_text", ""), random: recall("emotion_random", false), own: recall("emotion_own", {}) },
    },
    onChange: ({ emotion, intensity, way, recording, text, random, own }) =>
      keep({ emotion, intensity, emotion_way: way, emotion_recording: recording, emotion_text: text, emotion_random: random, emotion_own: own ?? {} }),
  });
  panels.advanced = new AdvancedPanel(at.advanced, engine, {
    values: recall("advanced", {}),
    open: recall("advanced_open", false),
    onChange: (values) => remember("advanced", values),
    onOpen: (yes) => remember("advanced_open", yes),
  });
  panels.player = new Player(at.screen, at, (index) => panels.segments.hear(index));
  panels.seed = new SeedPanel(at.seed, engine, { seed: recall("seed", -1), locked: recall("seed_locked", false), onChange: keep });
  panels.segments = new SegmentsPanel(at.segments, engine, Object.keys(at.emotions), {
    read,
    facts: () => ({ count: panels.text.length.toLocaleString(), limit: page.maxTextChars.toLocaleString() }),
    open: recall("segments_open", false),
    own: recall("segments_own", []),
    onOwn: (own) => remember("segments_own", own),
    onOpen: (yes) => remember("segments_open", yes),
    onPlay: (index) => (panels.takes.quiet(), panels.player.playSegment(index)),
    onRedo: (index, emotion) => panels.speaking.redo(index, emotion),
  });
  panels.takes = new TakesPanel(at.takes, store, engine, {
    onShow: (take) => panels.speaking.show(take, { play: true }),
    onUse: (take) => dispatchEvent(new CustomEvent("tts:use", { detail: { ...take.request, seed: take.seed ?? undefined } })),
    onQuiet: () => panels.player.quiet(),
  });
  panels.speaking = new Speaking(panels, engine, store, page.maxTextChars);
  engine.onChange(changed);
  changed();
  for (const [panel, title] of [["voicePanel", "tts-voice-title"], ["emotionPanel", "tts-emotion-title"]]) {
    at[panel].setAttribute("role", "region");
    at[panel].setAttribute("aria-labelledby", title);
  }
  return panels;
}

/** What happens when a person acts: Generate and Stop by button and by key, fields from elsewhere, files. */
function connect(at, panels, tabs) {
  const { speaking } = panels;
  const use = (request) => {
    useRequest(panels, request);
    tabs.select("speak");
  };
  at.generate.addEventListener("click", () => speaking.generate());
  at.stop.addEventListener("click", () => speaking.stop());
  addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter and Escape belong to the input method while characters are chosen
    if (event.defaultPrevented || tabs.current !== "speak") return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      speaking.generate();
    } else if (event.key === "Escape") speaking.stop();
  });
  addEventListener("tts:use", (event) => use(event.detail));
  acceptFiles(at.textPanel, {
    active: () => tabs.current === "speak",
    onTake: ({ request, seed }) => {
      use({ ...request, seed });
      panels.player.message.show(t("file_restored"));
    },
    onText: (text) => use({ text }),
    onNothing: (name) => panels.text.message.show(t("file_unknown", { name })),
  });
}

start();
