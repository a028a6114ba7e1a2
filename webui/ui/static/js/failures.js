// Where a failure is shown and in which words: the catalog's when it knows the code, else the server's sentence.

import { route } from "./server.js";
import { has, t } from "./texts.js";

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

function sentence(failure, values) {
  const key = `error_${failure.code}`;
  const fromServer = [failure.message, failure.fix].filter(Boolean).join(" ");
  if (failure.code === "engine_failed") return [t(key), fromServer].filter(Boolean).join(" ");
  if (failure.code !== "server" && has(key)) return t(key, { ...values, seconds: failure.seconds });
  return fromServer || t("error_server");
}
