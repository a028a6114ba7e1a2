// Wires the page: every panel's element, what it remembers, and what happens when a person acts. The one place where
// panels meet; none of them knows another.

import { appear } from "./dom.js";
import { EngineWatch } from "./engine.js";
import { clearFailures, showFailure } from "./failures.js";
import { recall, remember } from "./memory.js";
import { buildBanner } from "./panel_banner.js";
import { EmotionPanel } from "./panel_emotion.js";
import { applyTheme, buildMasthead, knownTheme } from "./panel_masthead.js";
import { buildNote } from "./panel_note.js";
import { Player } from "./panel_player.js";
import { TextPanel } from "./panel_text.js";
import { VoicePanel } from "./panel_voice.js";
import { SpeechFailure } from "./speech.js";
import { Tabs } from "./tabs.js";
import { Take } from "./take.js";
import { browserLanguage, setLanguage } from "./texts.js";

const page = JSON.parse(document.querySelector("meta[name=tts-page]").content);
const address = (path) => new URL(path, document.baseURI).href;

async function start() {
  applyTheme(knownTheme(recall("theme", "auto")));
  const chosen = recall("page_language", "");
  const first = page.languages.includes(chosen) ? chosen : browserLanguage(page.languages);
  const [elements] = await Promise.all([findParts(), setLanguage(first, address(page.catalogs[first]))]);
  const engine = new EngineWatch();
  const panels = build(elements, engine);
  const tabs = new Tabs(elements.tabBar, elements.tabs, { engine, page, address });
  connect(elements, panels, engine, tabs);
  addEventListener("tts:use", (event) => use(panels, tabs, event.detail));
  addEventListener("tts:ask", (event) => Object.assign(event.detail, { request: read(panels) }));
  engine.start();
  document.documentElement.dataset.ready = "true";
}

async function findParts() {
  const { emotions, ...parts } = page.parts;
  const find = async (ids) => Object.fromEntries(await Promise.all(Object.entries(ids).map(async ([name, id]) => [name, await appear(id)])));
  const tabs = await Promise.all(page.tabs.map(async (tab) => ({ ...tab, node: await appear(tab.panel) })));
  return { ...(await find(parts)), emotions: await find(emotions), tabs };
}

function build(at, engine) {
  buildMasthead(at.masthead, {
    title: page.title,
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
  const text = new TextPanel(at.text, at.textFooter, {
    limit: page.maxTextChars,
    text: recall("text", ""),
    onChange: (value) => remember("text", value),
  });
  const voice = new VoicePanel(at.voiceChoices, at.speed, engine, {
    voice: recall("voice", ""),
    language: recall("language", "auto"),
    speed: recall("speed", 1),
    onChange: (values) => Object.entries(values).forEach(([name, value]) => remember(name, value)),
  });
  const emotionParts = { panel: at.emotionPanel, moods: at.moods, radar: at.radar, intensity: at.intensity, emotions: at.emotions };
  const emotion = new EmotionPanel(emotionParts, {
    emotion: recall("emotion", {}),
    intensity: recall("intensity", 1),
    onChange: (values, intensity) => {
      remember("emotion", values);
      remember("intensity", intensity);
    },
  });
  engine.onChange(() => {
    if (engine.info) emotion.available = (engine.info.capabilities ?? []).includes("emotion_vector");
  });
  for (const [panel, title] of [["voicePanel", "tts-voice-title"], ["emotionPanel", "tts-emotion-title"]]) {
    at[panel].setAttribute("role", "region");
    at[panel].setAttribute("aria-labelledby", title);
  }
  return { text, voice, emotion, player: new Player(at.screen, at) };
}

/** What happens when a person acts: Generate and Stop by button and by key. */
function connect(at, panels, engine, tabs) {
  let take = null;
  const stop = () => take?.stop();
  const generate = async () => {
    if (panels.player.busy) return;
    clearFailures(panels);
    const request = read(panels);
    const failure = mistake(panels, request);
    if (failure) {
      showFailure(failure, panels, limits(panels));
      panels.text.focus();
      return;
    }
    take?.stop();
    const mine = new Take(request, engine.info?.sample_rate_hz);
    take = mine;
    panels.player.begin(mine);
    await run(mine, panels, engine);
  };
  at.generate.addEventListener("click", generate);
  at.stop.addEventListener("click", stop);
  addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter and Escape belong to the input method while characters are chosen
    if (event.defaultPrevented || tabs.current !== "speak") return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      generate();
    } else if (event.key === "Escape") stop();
  });
}

async function run(take, panels, engine) {
  try {
    await take.run(engine, panels.player.view(take));
    panels.player.end(take, "done");
  } catch (error) {
    if (take.stopped) return panels.player.end(take, "stopped");
    panels.player.end(take, "failed");
    showFailure(error instanceof SpeechFailure ? error : new SpeechFailure("server"), panels, limits(panels));
    if (!(error instanceof SpeechFailure)) console.warn(error);
  }
}

/** The SpeechRequest that the page shows. */
function read({ text, voice, emotion }) {
  const request = { text: text.text, voice: voice.voice, language: voice.language, speed: voice.speed.value };
  return emotion.available ? { ...request, emotion: emotion.emotion, intensity: emotion.intensity } : request;
}

/** Puts fields of a SpeechRequest into the panels, whoever sent them: another tab, or a file. */
function use({ text, voice, emotion }, tabs, request) {
  if (typeof request.text === "string") text.text = request.text;
  voice.use(request);
  if (request.emotion) emotion.set(request.emotion, request.intensity ?? 1);
  tabs.select("speak");
}

function limits({ text }) {
  return { count: text.length.toLocaleString(), limit: page.maxTextChars.toLocaleString() };
}

/** What the page can tell without asking the server, else null. */
function mistake({ text }, request) {
  if (!request.text.trim()) return new SpeechFailure("empty_text", { param: "text" });
  if (text.length > page.maxTextChars) return new SpeechFailure("text_too_long", { param: "text" });
  return null;
}

start();
