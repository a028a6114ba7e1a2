// Sizes, speeds, spans and moments as people read them.

import { currentLanguage, t } from "../texts.js";

/** Bytes with the unit that fits. */
export function bytes(size) {
  const [unit, name, digits] = size >= 1e9 ? [1e9, "GB", 1] : size >= 1e6 ? [1e6, "MB", 0] : [1e3, "kB", 0];
  return `${(size / unit).toFixed(digits)} ${name}`;
}

/** Whole percent of a share between 0 and 1. */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** Seconds as 3.2 s, 4 min 5 s, or 2 h 6 min. */
export function span(seconds) {
  if (seconds < 60) return t("system_seconds", { s: seconds < 10 ? seconds.toFixed(1) : Math.round(seconds) });
  const minutes = Math.floor(seconds / 60);
  const rest = Math.round(seconds % 60);
  if (minutes < 60) return rest ? t("system_minutes", { m: minutes, s: rest }) : t("system_whole_minutes", { m: minutes });
  return t("system_hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** A moment (seconds since 1970) as a time of day, with the date when it was not today. */
export function moment(at) {
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const style = { hour: "2-digit", minute: "2-digit", second: "2-digit", ...(today ? {} : { month: "short", day: "numeric" }) };
  return date.toLocaleString(currentLanguage() === "zh" ? "zh-CN" : "en-GB", style);
}
