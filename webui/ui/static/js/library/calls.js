// Calls of the library's routes: an answer as JSON, or a failure in words.

import { route } from "../server.js";
import { has, t } from "../texts.js";

/** What went wrong: `code` names a text of the catalogs, `message` and `fix` are the server's words. */
export class CallFailure extends Error {
  constructor(code, { message = "", fix = "", param = "" } = {}) {
    super(message || code);
    Object.assign(this, { code, message, fix, param });
  }
}

/** The address of a route with a query; values that are empty are left out. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return route(given.length ? `${path}?${new URLSearchParams(given)}` : path);
}

/** Calls a route. options: method, query, json (an object) or body (a file). Throws CallFailure, or an AbortError. */
export async function call(path, { method = "GET", query, json, body, signal } = {}) {
  const headers = json ? { "Content-Type": "application/json" } : {};
  let answer;
  try {
    answer = await fetch(address(path, query), { method, headers, body: json ? JSON.stringify(json) : body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallFailure("connection");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw new CallFailure(answer.status === 401 ? "login" : (said.error?.code ?? ""), said.error);
}

/** A failure as a sentence in the reader's language where there is one, else as the server said it. */
export function sentence(failure) {
  const key = `library_error_${failure.code}`;
  if (has(key)) return t(key);
  return [failure.message, failure.fix].filter(Boolean).join(" ") || t("library_error_server");
}
