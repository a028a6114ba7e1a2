// What the server tells the System tab, asked for again and again while somebody looks, and what may be asked of it.

import { route } from "../server.js";

const OVERVIEW_S = 3;
const BUSY_S = 1;
const FIGURES_S = 10;
const LOG_S = 4;
const LOOK_S = 60;

export class Knowledge {
  owner = false;
  errands = [];
  figures = null;
  look = null;
  log = [];
  logLevel = "";
  wantsLog = true;
  failure = null;
  #tell;
  #due = {};
  #timer = null;
  #shown = false;

  /** tell: called after every change. */
  constructor(tell) {
    this.#tell = tell;
  }

  /** Begins to ask, at once. */
  show() {
    this.#shown = true;
    this.#due = {};
    this.#turn();
  }

  /** Asks no more. */
  hide() {
    this.#shown = false;
    clearTimeout(this.#timer);
  }

  /** Asks for the log at once. */
  refreshLog() {
    this.#due.log = 0;
    this.#turn();
  }

  /** Begins an errand. */
  async send(kind, model = "") {
    await this.#do("POST", "api/system/errands", { kind, model });
  }

  /** Ends an errand. */
  async cancel(number) {
    await this.#do("DELETE", `api/system/errands/${number}`);
  }

  /** Loads, unloads or reloads an engine. */
  async engine(act, component) {
    await this.#do("POST", "api/system/engine", { do: act, component });
  }

  async #do(method, path, body = null) {
    try {
      await call(path, { method, ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) });
      this.failure = null;
    } catch (error) {
      this.failure = error;
    }
    this.#due.overview = 0;
    this.#turn();
  }

  async #turn() {
    clearTimeout(this.#timer);
    if (!this.#shown) return;
    const now = Date.now();
    const isDue = (name, seconds) => {
      if (now < (this.#due[name] ?? 0)) return false;
      this.#due[name] = now + 1000 * seconds - 50;
      return true;
    };
    if (document.hidden) return this.#again(OVERVIEW_S);
    try {
      const asked = [];
      if (isDue("overview", this.busy ? BUSY_S : OVERVIEW_S)) asked.push(this.#overview());
      if (isDue("figures", FIGURES_S)) asked.push(call("api/system/figures").then((told) => (this.figures = told)));
      await Promise.all(asked);
      if (isDue("look", LOOK_S)) {
        await call("api/system/errands", post({ kind: "look" }));
        await this.#overview();
      }
      if (this.owner && this.wantsLog && isDue("log", LOG_S)) {
        this.log = (await call(`api/system/log?lines=200&level=${this.logLevel}`)).lines;
      }
    } catch {
      // The page's server restarts, or is gone: the banner says so, and the next turn asks again.
    }
    this.#tell();
    this.#again(this.busy ? BUSY_S : OVERVIEW_S);
  }

  #again(seconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turn(), 1000 * seconds);
  }

  /** Whether an errand is on its way. */
  get busy() {
    return this.errands.some((one) => one.state === "running");
  }

  async #overview() {
    const told = await call("api/system");
    const before = new Set(this.errands.filter((one) => one.state === "running" && one.kind !== "look").map((one) => one.number));
    this.owner = told.owner;
    this.errands = told.errands;
    const look = told.errands.findLast((one) => one.kind === "look" && one.state === "done");
    this.look = look?.result ?? this.look;
    // What was fetched or mended is looked at again.
    if (told.errands.some((one) => before.has(one.number) && one.state !== "running")) this.#due.look = 0;
  }
}

const post = (body) => ({ method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

async function call(path, options = {}) {
  const answer = await fetch(route(path), { cache: "no-store", ...options });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error?.message ?? String(answer.status)), { fix: told.error?.fix ?? "" });
  return told;
}
