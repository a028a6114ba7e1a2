// Where a failure is shown and in which words: the catalog's when it knows the code, else the server's sentence.

import { route } from "./server.js";
import { currentLanguage, has, t } from "./texts.js";

/** Which panel holds the control that a parameter stands for. */
const PANELS = { input: "text", text: "text", voice: "voice", speed: "voice", language: "voice", emotion: "emotion", intensity: "emotion", emotion_reference: "emotion", emotion_text: "emotion", emotion_mode: "emotion" };

/** Shows `failure` (SpeechFailure) beside its control. panels: text, voice, emotion and player; values fill texts. */
export function showFailure(failure, panels, values) {
  const name = PANELS[failure.param] ?? "player";
  const panel = name === "emotion" && !panels.emotion.available ? panels.player : panels[name];
  const link = failure.code === "login" ? { text: t("error_login_link"), href: route("login") } : null;
  panel.message.show(sentence(failure, values), link);
  panel.message.node.scrollIntoView({ block: "nearest" });
}

/** Takes every sentence away. */
export function clearFailures(panels) {
  for (const panel of Object.values(panels)) panel.message?.clear();
}

/** The key of a failure's sentence: the code, where one code stands for several things with what tells them apart. */
function keyOf(failure) {
  // Of the text itself, not of the language that was chosen.
  if (failure.code === "language_unsupported" && PANELS[failure.param] === "text") return "error_script_unsupported";
  if (failure.code !== "wrong_tag") return `error_${failure.code}`;
  // The server's English says precisely what is wrong with a tag; in another language the tag itself has to do.
  failure.tag = failure.message.match(/^\[[^\]]*\]/)?.[0] ?? "";
  return currentLanguage() === "en" ? "" : failure.tag ? "error_wrong_tag" : "error_pauses_too_long";
}

/** The sentence for `failure`; `values` fill its places. */
export function sentence(failure, values) {
  const key = keyOf(failure);
  const fromServer = [failure.message, failure.fix].filter(Boolean).join(" ");
  if (failure.code === "engine_failed") return [t(key), fromServer].filter(Boolean).join(" ");
  if (failure.code !== "server" && has(key)) return t(key, { ...values, seconds: failure.seconds, tag: failure.tag });
  return fromServer || t("error_server");
}
