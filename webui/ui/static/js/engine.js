// What the engine is doing and what it can: a stream of snapshots, with polling when the stream is interrupted.

import { pause, route } from "./server.js";

const POLL_S = 2;
const OFFLINE_AFTER = 2; // polls in a row that nobody answered
// States of an engine by how soon it serves.
const NEAREST_FIRST = ["ready", "restarting", "starting", "stopping", "unloaded", "stopped", "failed"];

export class EngineWatch {
  snapshot = null;
  info = null;
  offline = false;
  #listeners = new Set();
  #waiters = new Set();
  #infoFor = "";
  #asked = 0;
  #misses = 0;
  #stream = null;

  /** Calls `listener` after every change. */
  onChange(listener) {
    this.#listeners.add(listener);
  }

  /** Begins to watch; returns at once. */
  start() {
    this.#connect();
    this.#poll();
    document.addEventListener("visibilitychange", () => {
      // A browser allows six connections to a host over all tabs: a tab that nobody sees must not hold one.
      if (document.hidden) this.#stream.close();
      else this.#connect();
    });
  }

  /** The engine's part of the snapshot, of several engines that of the one that is furthest; or null. */
  get engine() {
    const parts = this.engines.map(([, part]) => part);
    const state = NEAREST_FIRST.find((each) => parts.some((part) => part.state === each));
    return parts.find((part) => part.state === state) ?? parts[0] ?? null;
  }

  /** Every engine: its name and its part of the snapshot. */
  get engines() {
    return Object.entries(this.snapshot?.components ?? {}).filter(([name]) => /^engine(-\d+)?$/.test(name));
  }

  /** How far the fetch of the engine's weights is, or null. */
  get weights() {
    return this.snapshot?.components?.weights?.progress ?? null;
  }

  /** Whether speech can be made now. */
  get ready() {
    return !this.offline && this.engine?.state === "ready";
  }

  /** The sentence and the fix when the engine gave up for good, else null. */
  failed() {
    if (this.engine?.state !== "failed") return null;
    return { message: this.engine.error?.message ?? "", fix: this.engine.error?.fix ?? "" };
  }

  /** Resolves when the engine becomes ready or fails. */
  changed() {
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  #connect() {
    this.#stream?.close();
    this.#stream = new EventSource(route("api/events"));
    const take = (message) => {
      try {
        this.#take(JSON.parse(message.data));
      } catch {
        // not a snapshot: the next one will be
      }
    };
    this.#stream.onmessage = take;
    this.#stream.addEventListener("snapshot", take);
  }

  async #poll() {
    for (;;) {
      // A browser gives an EventSource up when the answer is not a stream, as while the page's server restarts.
      if (this.#stream.readyState === EventSource.CLOSED && !document.hidden) this.#connect();
      if (this.#stream.readyState !== EventSource.OPEN || !this.ready) await this.#ask();
      if (this.ready) await this.#learn();
      await pause(POLL_S);
    }
  }

  async #ask() {
    try {
      const answer = await fetch(route("api/status"), { cache: "no-store" });
      const snapshot = await answer.json();
      if (snapshot?.components) this.#take(snapshot);
    } catch {
      this.#misses += 1;
      if (this.#misses >= OFFLINE_AFTER && !this.offline) {
        this.offline = true;
        this.#tell();
      }
    }
  }

  #take(snapshot) {
    const before = this.engine?.state;
    // The stream and an answer to polling may overtake each other: what is older than what is shown is nothing new.
    const older = snapshot.pid === this.snapshot?.pid && snapshot.uptime_s < this.snapshot?.uptime_s;
    if (older && !this.offline) return;
    this.snapshot = snapshot;
    this.#misses = 0;
    this.offline = false;
    const state = this.engine?.state;
    if (state !== before && (state === "ready" || state === "failed")) {
      for (const resolve of this.#waiters) resolve();
      this.#waiters.clear();
    }
    if (this.ready) this.#learn();
    this.#tell();
  }

  /** Asks again what the engine offers: a voice of the library came or went. */
  async refresh() {
    this.#infoFor = "";
    if (this.ready) await this.#learn();
  }

  async #learn() {
    const process = `${this.engine.pid}:${this.engine.restarts}`;
    if (this.#infoFor === process) return;
    this.#infoFor = process;
    const mine = (this.#asked += 1);
    try {
      const answer = await fetch(route("api/info"), { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const info = await answer.json();
      if (mine !== this.#asked) return; // it was asked again meanwhile
      this.info = info;
      this.#tell();
    } catch {
      if (mine === this.#asked) this.#infoFor = ""; // not yet: the next poll asks again
    }
  }

  #tell() {
    for (const listener of this.#listeners) listener(this);
  }
}
