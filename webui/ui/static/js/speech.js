// One request for speech, from the button to the last sample: waits for an engine that is still loading, tries once
// more when the server went away before the first sound, and turns every failure into something a person can act on.

import { FrameError, FrameReader } from "./frames.js";
import { pause, retryAfter, route } from "./server.js";

const WAIT_S = 1;
const RECONNECT_S = 1.5;

/** A failure: `code` names a text of the catalogs, `message` and `fix` are the server's words, `param` is at fault. */
export class SpeechFailure extends Error {
  constructor(code, { message = "", fix = "", param = "", seconds = 0 } = {}) {
    super(message || code);
    Object.assign(this, { code, message, fix, param, seconds });
  }
}

/**
 * Asks for speech and reads it to its end.
 *
 * request: a SpeechRequest. signal: aborts it, which cancels it on the server. handlers: onWaiting(snapshot or null)
 * while the engine loads, onReconnecting(), onEvent(event), onPcm(Int16Array). engine: failed() and changed().
 * Throws SpeechFailure, or an AbortError when `signal` asked for it.
 */
export async function speak(request, { signal, engine, onWaiting, onReconnecting, onEvent, onPcm }) {
  let reconnected = false;
  let heard = false;
  const hear = (pcm) => {
    heard = true;
    onPcm(pcm);
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      const answer = await post(request, signal);
      if (answer.ok) return await read(answer, signal, onEvent, hear);
      if (answer.status !== 503) throw await refusal(answer);
      const failed = engine.failed();
      if (failed) throw new SpeechFailure("engine_failed", failed);
      onWaiting();
      await pause(retryAfter(answer, WAIT_S), signal, engine.changed());
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TypeError) && error?.code !== "cut") throw error;
      if (heard) throw new SpeechFailure("cut");
      if (reconnected) throw new SpeechFailure("connection");
      reconnected = true;
      onReconnecting();
      await pause(RECONNECT_S, signal, null);
    }
  }
}

function post(request, signal) {
  const headers = { "Content-Type": "application/json" };
  return fetch(route("api/speak"), { method: "POST", headers, body: JSON.stringify(request), signal });
}

async function read(answer, signal, onEvent, onPcm) {
  const frames = new FrameReader();
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    signal.throwIfAborted();
    if (done) throw new SpeechFailure("cut");
    let ready;
    try {
      ready = frames.feed(value);
    } catch (error) {
      await reader.cancel().catch(() => {});
      throw error instanceof FrameError ? new SpeechFailure("protocol") : error;
    }
    for (const frame of ready) {
      if (frame.pcm) onPcm(frame.pcm);
      else if (frame.event.event === "error") throw fromServer(frame.event);
      else onEvent(frame.event);
      if (frame.event?.event === "end") return frame.event;
    }
  }
}

const BY_STATUS = { 401: "login", 403: "forbidden", 421: "forbidden", 413: "too_large", 429: "busy" };

/** The failure that an answer stands for. */
export async function refusal(answer) {
  let error = {};
  try {
    error = (await answer.json()).error ?? {};
  } catch {
    // an answer from something in between: its status has to do
  }
  const seconds = Math.ceil(retryAfter(answer, 5));
  const code = BY_STATUS[answer.status];
  if (code) return new SpeechFailure(code, { ...words(error), param: "", seconds });
  return fromServer(error);
}

function fromServer(error) {
  return new SpeechFailure(error.code || "server", words(error));
}

function words(error) {
  const text = (value) => (typeof value === "string" ? value : "");
  return { message: text(error.message), fix: text(error.fix), param: text(error.param) };
}
