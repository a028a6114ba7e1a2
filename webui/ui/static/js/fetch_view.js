// What is fetched before the engine can start: each file, who sends, how fast. Opened by whoever wants to see it.

import { attribute, el, write } from "./dom.js";
import { t } from "./texts.js";

/** Whether `progress` counts the bytes of a fetch. */
export const isFetching = (progress) => progress?.stage === "fetch" && progress.unit === "bytes" && progress.total > 0;

/** Whole percent, rounded down. */
export const percentOf = (part) => (part.total ? Math.min(100, Math.floor((100 * part.done) / part.total)) : 0);

/** Bytes per second as people read them. */
export const speedOf = (rate) => t("fetch_speed", { n: (rate / 1e6).toFixed(1) });

/** How much of how much. */
export const amountOf = (part) => t("fetch_amount", { done: sizeOf(part.done), total: sizeOf(part.total) });

/** Seconds as people say them. */
export function durationOf(value) {
  const seconds = Math.max(1, Math.round(value));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return t("fetch_hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
  return minutes ? t("fetch_minutes", { m: minutes, s: seconds % 60 }) : t("fetch_seconds", { s: seconds });
}

function sizeOf(bytes) {
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

/** The button that opens the list, the list, and what shows a progress (or nothing) in them. */
export function buildFetch() {
  const rows = el("ul");
  const hosts = el("p", { class: "tts-fetch-hosts" });
  const list = el("div", { class: "tts-fetch", id: "tts-fetch-files", hidden: true }, rows, hosts);
  let open = false;
  const toggle = () => {
    open = !open;
    list.hidden = !open;
    attribute(button, "aria-expanded", open ? "true" : "false");
  };
  const button = el("button", {
    class: "tts-fetch-button", type: "button", hidden: true, "aria-expanded": "false", "aria-controls": list.id, onclick: toggle,
  });
  const show = (progress) => {
    const shown = isFetching(progress);
    button.hidden = !shown;
    list.hidden = !shown || !open;
    if (!shown) return;
    write(button, t("fetch_files"));
    const parts = progress.parts ?? [];
    while (rows.children.length > parts.length) rows.lastChild.remove();
    while (rows.children.length < parts.length) rows.append(row());
    parts.forEach((part, index) => fill(rows.children[index], part));
    const senders = (progress.hosts ?? []).map((host) => (host.rate_per_s ? `${host.name} ${speedOf(host.rate_per_s)}` : host.name));
    write(hosts, senders.length ? t("fetch_hosts", { list: senders.join(t("fetch_and")) }) : "");
  };
  return { button, list, show };
}

function row() {
  return el("li", {}, el("span", { class: "tts-fetch-name" }, el("bdi")), el("span", { class: "tts-fetch-size" }),
    el("div", { class: "tts-fetch-bar" }, el("i")));
}

function fill(item, part) {
  write(item.querySelector("bdi"), part.name);
  write(item.querySelector(".tts-fetch-size"), `${percentOf(part)} % · ${sizeOf(part.total)}`);
  item.querySelector("i").style.setProperty("--tts-share", part.total ? part.done / part.total : 0);
}
