// Where the service is: beside the page, whatever prefix a reverse proxy put in front of both.

/** The address of a route such as `api/speak`. */
export function route(path) {
  const root = new URL(window.gradio_config?.root ?? "", document.baseURI).pathname.replace(/\/$/, "");
  return `${location.origin}${root}/${path}`;
}

/** A number of seconds from an answer's Retry-After, kept within bounds that a person can wait for. */
export function retryAfter(answer, fallbackS) {
  const seconds = Number.parseFloat(answer.headers.get("Retry-After") ?? "");
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0.2), 30) : fallbackS;
}

/** Resolves after `seconds`, or as soon as `signal` aborts or `early` (a promise) resolves. */
export function pause(seconds, signal, early = null) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal?.addEventListener("abort", done);
    early?.then(done);
    if (signal?.aborted) done();
  });
}
