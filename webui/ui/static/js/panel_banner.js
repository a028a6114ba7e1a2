// The engine banner: one line that always has its place, so that nothing moves while the engine comes up.

import { attribute, el, write } from "./dom.js";
import { amountOf, buildFetch, durationOf, isFetching, percentOf, speedOf } from "./fetch_view.js";
import { has, onLanguage, pick, t } from "./texts.js";

/** Shows what `engine` (an EngineWatch) is doing. */
export function buildBanner(place, engine) {
  const words = el("span", { class: "tts-banner-words", role: "status" });
  const detail = el("span", { class: "tts-banner-detail" });
  const bar = el("div", { class: "tts-banner-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, el("i"));
  const fix = el("p", { class: "tts-banner-fix", hidden: true });
  const files = buildFetch();
  const banner = el("section", { class: "tts-banner", "data-state": "unknown" },
    el("div", { class: "tts-banner-line" },
      el("span", { class: "tts-dot", "aria-hidden": "true" }), words, detail, files.button), files.list, fix, bar);
  place.append(banner);

  const show = () => {
    const view = describe(engine);
    banner.dataset.state = view.state;
    write(words, view.words);
    write(detail, view.detail);
    attribute(detail, "title", reasons(engine) || null);
    write(fix, view.fix);
    fix.hidden = !view.fix;
    files.show(view.busy ? engine.weights : null);
    bar.setAttribute("aria-label", t("engine_progress"));
    bar.classList.toggle("tts-unsure", view.busy && view.share === null);
    bar.style.visibility = view.busy ? "visible" : "hidden";
    attribute(bar, "aria-valuenow", view.share === null ? null : Math.round(view.share * 100));
    bar.style.setProperty("--tts-share", view.share ?? 0);
  };
  engine.onChange(show);
  onLanguage(show);
}

function describe(engine) {
  const view = { state: "unknown", words: t("engine_unknown"), detail: "", fix: "", busy: true, share: null };
  if (engine.offline) return { ...view, state: "offline", words: t("engine_offline") };
  const part = engine.engine;
  if (!part) return view;
  view.state = part.state;
  if (part.state === "ready") return { ...view, words: t("engine_ready"), detail: readyDetail(engine), busy: false };
  if (part.state === "failed") {
    // The engine's own sentence names what is missing; the banner's says what that means for the page.
    return { ...view, words: t("engine_failed"), detail: part.error?.message ?? "", fix: part.error?.fix ?? "", busy: false };
  }
  if (["stopped", "stopping", "unloaded"].includes(part.state)) return { ...view, words: t(`engine_${part.state}`), busy: false };
  if (isFetching(engine.weights)) {
    return { ...view, words: t("engine_fetching"), detail: fetchDetail(engine.weights), share: share(engine.weights) };
  }
  if (part.state === "restarting") return { ...view, words: t("engine_restarting") };
  return { ...view, words: t("engine_starting"), detail: loadingDetail(part.progress), share: share(part.progress) };
}

function readyDetail({ info, engines }) {
  const about = info ? [pick(info.title) || info.name, String(info.device ?? "").toUpperCase()] : [];
  const ready = engines.filter(([, part]) => part.state === "ready").length;
  if (engines.length > 1) about.push(t("engines_ready", { ready, count: engines.length }));
  return about.filter(Boolean).join(" · ");
}

// Why this engine, and of several how each one is.
function reasons({ snapshot, engines }) {
  const each = engines.length > 1 ? engines.map(([name, part]) => `${name}: ${stateOf(part)}`) : [];
  return [snapshot?.choice?.reason, ...each].filter(Boolean).join("\n");
}

function stateOf(part) {
  const words = t(`engine_${part.state}`);
  return part.error?.message ? `${words} ${part.error.message}` : words;
}

function loadingDetail(progress) {
  const stage = progress?.stage;
  if (!stage) return t("engine_early");
  const key = `stage_${stage}`;
  const words = has(key) ? t(key) : stage.replaceAll("_", " ");
  const seconds = progress.eta_s;
  const known = Number.isFinite(seconds) && seconds >= 1;
  return known ? `${words} · ${t("engine_left", { seconds: Math.ceil(seconds) })}` : words;
}

function fetchDetail(progress) {
  // What matters most first: a narrow banner cuts the end off.
  const parts = [`${percentOf(progress)} %`];
  if (progress.rate_per_s) parts.push(speedOf(progress.rate_per_s));
  if (Number.isFinite(progress.eta_s)) parts.push(t("fetch_left", { time: durationOf(progress.eta_s) }));
  return [...parts, amountOf(progress)].join(" · ");
}

function share(progress) {
  if (!progress || !(progress.total > 0)) return null;
  return Math.min(Math.max(progress.done / progress.total, 0), 1);
}
