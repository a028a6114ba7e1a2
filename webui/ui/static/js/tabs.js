// The tabs: one button for each, the address remembers which is open, and what belongs to a tab is loaded when it is
// opened for the first time.
//
// A tab's script exports `open(panel, context)`; it may return `{show(rest), hide()}`, called whenever the tab comes
// and goes. `context`: engine (EngineWatch), page (the page's settings), address(path), select(name). `rest` is what
// follows the name in the address: `#history/42` shows the tab `history` with "42".

import { el, write } from "./dom.js";
import { Message } from "./message.js";
import { addTexts, onLanguage, t } from "./texts.js";

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

export class Tabs {
  #tabs;
  #context;
  #current = null;

  /** tabs: of the page's settings, each with its panel's `node`; the first is shown when the address names none. */
  constructor(place, tabs, context) {
    this.#context = { ...context, select: (name) => this.select(name) };
    this.#tabs = tabs.map((tab) => ({ ...tab, button: this.#button(tab), opened: null, views: null }));
    this.bar = el("div", { class: "tts-tabs", role: "tablist", onkeydown: (event) => this.#step(event) });
    this.bar.append(...this.#tabs.map((tab) => tab.button));
    this.bar.hidden = tabs.length < 2;
    place.append(this.bar);
    for (const tab of this.#tabs) {
      tab.node.setAttribute("role", "tabpanel");
      tab.node.setAttribute("aria-labelledby", tab.button.id);
      tab.node.hidden = true;
    }
    addEventListener("hashchange", () => this.#follow());
    onLanguage(() => {
      this.bar.setAttribute("aria-label", t("tabs"));
      for (const tab of this.#tabs) write(tab.button, t(tab.title));
    });
    this.#follow();
  }

  /** The name of the tab that is shown. */
  get current() {
    return this.#current.name;
  }

  /** Shows a tab; the address follows, so that Back returns. */
  select(name) {
    if (name === this.current) {
      if (!this.#current.opened) this.#follow(); // it could not be loaded: its button tries again
      return;
    }
    const first = name === this.#tabs[0].name;
    history.pushState(null, "", first ? location.pathname + location.search : `#${name}`);
    this.#follow();
  }

  #button(tab) {
    const properties = { type: "button", class: "tts-tab", role: "tab", id: `${tab.panel}-button`, "aria-controls": tab.panel };
    return el("button", { ...properties, "data-tab": tab.name, onclick: () => this.select(tab.name) });
  }

  #follow() {
    const [name, ...rest] = decoded(location.hash.slice(1)).split("/");
    const tab = this.#tabs.find((one) => one.name === name) ?? this.#tabs[0];
    const before = this.#current;
    this.#current = tab;
    for (const one of this.#tabs) {
      const chosen = one === tab;
      one.node.hidden = !chosen;
      one.button.setAttribute("aria-selected", String(chosen));
      one.button.tabIndex = chosen ? 0 : -1;
    }
    document.documentElement.dataset.shownTab = tab.name;
    if (before !== tab) before?.views?.hide?.();
    if (!this.bar.hidden) tab.button.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#show(tab, rest.join("/"));
  }

  async #show(tab, rest) {
    if (!tab.script) return;
    tab.opened ??= this.#open(tab);
    try {
      await tab.opened;
      tab.failure?.clear();
      if (this.#current === tab) tab.views?.show?.(rest);
    } catch (error) {
      tab.opened = null; // the next visit tries again
      tab.failure ??= new Message(tab.node);
      tab.failure.show(t("tab_failed"));
      console.warn(error);
    }
  }

  async #open(tab) {
    tab.node.setAttribute("aria-busy", "true");
    try {
      const style = tab.style ? loadStyle(this.#context.address(tab.style)) : null;
      const [module] = await Promise.all([import(this.#context.address(tab.script)), style, addTexts(this.#addresses(tab.texts))]);
      tab.views = (await module.open(tab.node, this.#context)) ?? {};
    } finally {
      tab.node.removeAttribute("aria-busy");
    }
  }

  #addresses(texts) {
    return Object.fromEntries(Object.entries(texts).map(([code, path]) => [code, this.#context.address(path)]));
  }

  #step(event) {
    const at = this.#tabs.indexOf(this.#current);
    const count = this.#tabs.length;
    const by = KEYS[event.key];
    const to = by ? (at + by + count) % count : { Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(this.#tabs[to].name);
    this.#tabs[to].button.focus();
  }
}

/** An address's part as it was meant; one that means nothing as it stands. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function loadStyle(href) {
  return new Promise((resolve, reject) => {
    document.head.append(el("link", { rel: "stylesheet", href, onload: resolve, onerror: reject }));
  });
}
