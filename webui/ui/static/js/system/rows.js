// The parts of the System tab's cards, made from what the server told.

import { el } from "../dom.js";
import { has, pick, t } from "../texts.js";
import { bytes, moment, percent, span } from "./amounts.js";
import { chip, empty, meter } from "./card.js";

/** Of a cache's disk: from here on the alarm is on. */
const LIMIT = 0.85;

/** Every process of the instance, engines with buttons for the owner; then the stages of the last start. */
export function processes(snapshot, info, knowledge) {
  const components = Object.entries(snapshot?.components ?? {}).filter(([name]) => name !== "weights");
  const rows = components.map(([name, one]) => {
    const isEngine = name.startsWith("engine");
    const facts = [
      isEngine ? pick(info?.title) || one.info?.name : null,
      isEngine ? one.info?.device ?? info?.device : null,
      one.pid ? t("system_pid", { pid: one.pid }) : null,
      one.restarts ? t("system_restarts", { n: one.restarts }) : null,
      one.since ? t("system_since", { time: moment(one.since) }) : null,
    ];
    const act = (what) => chip(t(`system_${what}`), () => knowledge.engine(what, name), { "data-focus": `${name}-${what}` });
    const rests = one.state === "unloaded";
    const buttons = isEngine && knowledge.owner ? el("div", { class: "tts-sys-buttons" }, rests ? act("load") : act("unload"), act("reload")) : null;
    return el("li", { "data-component": name },
      el("div", { class: "tts-sys-line-head" }, el("i", { class: "tts-dot", "data-state": one.state }), el("strong", {}, nameOf(name)), el("span", { class: "tts-sys-state" }, t(`system_state_${one.state}`))),
      el("p", { class: "tts-sys-quiet" }, facts.filter(Boolean).join(" · ")), buttons);
  });
  return [el("ul", { class: "tts-sys-list" }, ...rows), stages(snapshot)];
}

/** A process as people call it. */
export function nameOf(component) {
  return has(`system_component_${component}`) ? t(`system_component_${component}`) : t("system_engine_number", { n: component.split("-")[1] ?? component });
}

function stages(snapshot) {
  const shown = (snapshot?.stages ?? []).map((one) =>
    el("li", { "data-state": one.state }, el("span", {}, t(`system_stage_${one.name}`)), el("strong", {}, one.state === "waiting" ? t("system_waiting") : span(one.elapsed_s))));
  return el("div", { class: "tts-sys-stages" }, el("h3", {}, t("system_stages")), el("ol", {}, ...shown));
}

/** Disks with the line at which they are nearly full. */
export function disks(figures) {
  const seen = new Map();
  // Cache and data mostly lie on one disk: one bar for both.
  for (const disk of figures?.disks ?? []) {
    const key = `${disk.used_bytes}/${disk.total_bytes}`;
    seen.set(key, { ...disk, paths: [...(seen.get(key)?.paths ?? []), disk.path] });
  }
  if (!seen.size) return [empty(t("system_soon"))];
  return [...seen.values()].map((disk) => {
    const share = disk.used_bytes / disk.total_bytes;
    const words = t("system_disk_free", { free: bytes(disk.total_bytes - disk.used_bytes), total: bytes(disk.total_bytes) });
    return el("div", { class: "tts-sys-disk" },
      el("p", {}, el("strong", {}, percent(share)), ` ${words}`),
      meter(share, words, LIMIT),
      ...disk.paths.map((path) => el("p", { class: "tts-sys-path" }, path)));
  });
}

/** What a model is: in the reader's language where the catalog's own sentence has a translation. */
function aboutModel({ name, title }) {
  const key = `system_about_${name.replace(/[^a-z0-9]+/g, "_")}`;
  return has(key) ? t(key) : title;
}

/** The models of the catalog: what is here, and for the owner what may be done about it. */
export function models(knowledge) {
  const look = knowledge.look;
  if (!look) return [empty(t("system_looking"))];
  const running = (kind, name) => knowledge.errands.some((one) => one.state === "running" && one.kind === kind && one.model === name);
  const rows = look.models.map((one) => {
    const whole = one.state === "present";
    const kind = whole ? "verify" : "fetch";
    const lacks = one.size_bytes - one.present_bytes;
    const words = whole ? t("system_verify") : t("system_fetch", { size: lacks ? bytes(lacks) : "" });
    const act = knowledge.owner && !(look.offline && !whole) ? chip(words, () => knowledge.send(kind, one.name), { "data-focus": `${kind}-${one.name}`, disabled: running(kind, one.name) }) : null;
    return el("li", { "data-model": one.name },
      el("div", {},
        el("strong", {}, one.name),
        el("p", { class: "tts-sys-quiet" }, [t(`system_model_${one.state}`), one.size_bytes ? bytes(one.size_bytes) : "", aboutModel(one)].filter(Boolean).join(" · ")),
        one.state === "partial" ? meter(one.size_bytes ? one.present_bytes / one.size_bytes : 0, t("system_model_partial")) : null),
      act);
  });
  return [el("ul", { class: "tts-sys-list tts-sys-models" }, ...rows)];
}

/** What the cache holds besides, largest first. */
export function repos(look) {
  if (!look) return [];
  if (look.cache_error) return [problem(look.cache_error)];
  if (!look.repos.length) return [empty(t("system_cache_empty"))];
  const rows = look.repos.map((one) =>
    el("tr", {},
      el("th", { scope: "row" }, one.name),
      el("td", {}, bytes(one.size_bytes)),
      el("td", {}, one.used_at ? moment(one.used_at) : "–"),
      el("td", {}, one.flaws ? t("system_flaws", { n: one.flaws }) : one.needed ? t("system_needed") : "")));
  const head = ["system_repo", "system_size", "system_used", ""].map((key) => el("th", { scope: "col" }, key ? t(key) : ""));
  const table = el("div", { class: "tts-sys-scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
  return [table, el("p", { class: "tts-sys-path" }, look.cache)];
}

/** Where models come from, how quick each was, and what it sent and let wait since the start. */
export function mirrors(look, figures) {
  if (!look) return [empty(t("system_looking"))];
  if (look.mirrors_error) return [problem(look.mirrors_error)];
  const rows = look.mirrors.map((one) => {
    const host = new URL(one.url).host;
    const sent = figures?.fetched_bytes?.[host] ?? 0;
    const late = figures?.timeouts?.[host] ?? 0;
    const facts = [
      one.kind === "modelscope" ? t("system_mirror_bytes") : one.trusted ? t("system_mirror_trusted") : null,
      sent ? t("system_mirror_sent", { size: bytes(sent) }) : null,
      late ? t("system_mirror_late", { n: late }) : null,
    ].filter(Boolean);
    const speed = one.bytes_per_s ? t("system_mirror_speed", { n: (one.bytes_per_s / 1e6).toFixed(1) }) : t("system_mirror_unknown");
    return el("li", {}, el("div", { class: "tts-sys-line-head" }, el("strong", {}, host), el("span", { class: "tts-sys-state" }, speed)),
      facts.length ? el("p", { class: "tts-sys-quiet" }, facts.join(" · ")) : null);
  });
  return [look.offline ? empty(t("system_offline")) : null, el("ul", { class: "tts-sys-list" }, ...rows)].filter(Boolean);
}

/** What went wrong last, each with what to do. */
export function errors(snapshot, knowledge) {
  const found = [];
  for (const [name, one] of Object.entries(snapshot?.components ?? {})) {
    if (one.error) found.push({ ...one.error, who: name, at: one.since });
  }
  for (const one of snapshot?.warnings ?? []) found.push({ ...one, who: one.code ?? "" });
  for (const one of knowledge.errands) {
    if (one.error) found.push({ ...one.error, who: `${one.kind} ${one.model}`.trim(), at: one.ended_at });
    if (one.result?.damaged) found.push({ message: t("system_damaged", { n: one.result.damaged, names: one.result.findings.map((each) => each.path || each.repo).slice(0, 3).join(", ") }), fix: t("system_repair"), who: one.kind, at: one.ended_at });
  }
  if (!found.length) return [empty(t("system_no_errors"))];
  return [el("ul", { class: "tts-sys-list tts-sys-errors" }, ...found.map((one) => el("li", {}, problem(one),
    el("p", { class: "tts-sys-quiet" }, [one.who, one.at ? moment(one.at) : ""].filter(Boolean).join(" · ")))))];
}

/** Errands on their way, and how the last ones ended. */
export function errands(knowledge) {
  const shown = knowledge.errands.filter((one) => one.kind !== "look").slice(-4).reverse();
  if (!shown.length) return [];
  return [el("ul", { class: "tts-sys-list" }, ...shown.map((one) => errand(one, knowledge)))];
}

function errand(one, knowledge) {
  const name = t(`system_errand_${one.kind}`, { name: one.model || t("system_everything") });
  const head = el("div", { class: "tts-sys-line-head" }, el("strong", {}, name), el("span", { class: "tts-sys-state" }, t(`system_errand_${one.state}`)));
  if (one.state !== "running") return el("li", { "data-errand": one.state }, head, el("p", { class: "tts-sys-quiet" }, outcome(one)));
  const progress = one.progress;
  const share = progress?.total ? progress.done / progress.total : 0;
  const rate = progress?.rate_per_s && progress.unit === "bytes" ? t("system_mirror_speed", { n: (progress.rate_per_s / 1e6).toFixed(1) }) : null;
  const left = progress?.eta_s ? t("system_left", { time: span(progress.eta_s) }) : null;
  const facts = progress?.total ? [percent(share), progress.unit === "bytes" ? `${bytes(progress.done)} / ${bytes(progress.total)}` : null, rate, left] : [t("system_begins")];
  const stop = knowledge.owner ? el("div", { class: "tts-sys-buttons" }, chip(t("system_cancel"), () => knowledge.cancel(one.number), { "data-focus": `cancel-${one.number}` })) : null;
  return el("li", { "data-errand": one.state }, head, meter(share, name), el("p", { class: "tts-sys-quiet" }, facts.filter(Boolean).join(" · ")), stop);
}

function outcome(one) {
  if (one.error) return [one.error.message, one.error.fix].filter(Boolean).join(" ");
  const result = one.result;
  if (one.kind === "verify" && result) {
    const checked = t("system_checked", { n: result.checked_files, size: bytes(result.checked_bytes), time: span(result.seconds) });
    return result.ok ? `${t("system_all_well")} ${checked}` : `${t("system_damaged_count", { n: result.damaged })} ${checked}`;
  }
  if (one.kind === "fetch" && result) {
    if (!result.files) return t("system_nothing_missing");
    const size = Object.values(result.hosts).reduce((sum, each) => sum + each, 0);
    return t("system_fetched", { n: result.files, size: bytes(size), time: span(result.seconds) });
  }
  return moment(one.ended_at ?? one.started_at);
}

/** A sentence and what to do about it. */
export const problem = (one) => el("p", { class: "tts-sys-problem" }, one.message, one.fix ? el("span", {}, ` ${one.fix}`) : null);

/** The end of the log. */
export function logLines(lines) {
  return lines.map((line) => {
    const time = moment(Date.parse(line.time) / 1000);
    return el("span", { class: "tts-sys-log-line", "data-level": line.level }, el("i", {}, time), ` ${line.component} `, line.text, "\n");
  });
}
