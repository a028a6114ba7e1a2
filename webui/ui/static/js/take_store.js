// The takes of this browser, newest first: kept over a reload, bounded, and working without storage, too.

import { KeptTake } from "./kept.js";

const MOST = 24;
const MOST_BYTES = 160e6;

export class TakeStore {
  takes = [];
  #database = null;
  #listeners = new Set();

  /** Calls `listener(takes)` after every change. */
  onChange(listener) {
    this.#listeners.add(listener);
  }

  /** Reads what is stored; never fails. */
  async open() {
    try {
      this.#database = await opened();
      const rows = await done(this.#store("readonly").getAll());
      const stored = rows.filter((row) => row?.pcm instanceof Int16Array && row.request && row.segments).map((row) => new KeptTake(row));
      this.takes = [...this.takes, ...stored].sort((a, b) => b.createdAt - a.createdAt);
    } catch {
      this.#database = null; // a private window: the takes live as long as the page
    }
    this.#tell();
  }

  add(take) {
    this.takes = [take, ...this.takes];
    this.#write((store) => store.put(take.values));
    let bytes = 0;
    const over = this.takes.filter((kept, at) => {
      bytes += kept.pcm.byteLength;
      return at > 0 && !kept.starred && (at >= MOST || bytes > MOST_BYTES);
    });
    for (const kept of over) this.#expire(kept);
    this.#tell();
  }

  star(take, yes) {
    take.starred = yes;
    this.#write((store) => store.put(take.values));
    this.#tell();
  }

  remove(take) {
    this.#drop(take);
    this.#tell();
  }

  #drop(take) {
    this.takes = this.takes.filter((kept) => kept !== take);
    this.#write((store) => store.delete(take.id));
  }

  /** Drops a take that is over the limit, unless somebody has given it a star in another tab. */
  #expire(kept) {
    this.takes = this.takes.filter((one) => one !== kept);
    this.#write((store) => {
      const found = store.get(kept.id);
      found.onsuccess = () => found.result?.starred || store.delete(kept.id);
    });
  }

  #write(work) {
    if (!this.#database) return;
    try {
      work(this.#store("readwrite"));
    } catch {
      this.#database = null;
    }
  }

  #store(mode) {
    return this.#database.transaction("takes", mode).objectStore("takes");
  }

  #tell() {
    for (const listener of this.#listeners) listener(this.takes);
  }
}

function opened() {
  const request = indexedDB.open("tts-launcher", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("takes", { keyPath: "id" });
  return done(request);
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}
