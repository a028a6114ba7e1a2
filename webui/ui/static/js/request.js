// The request that the panels show, and a request put back into them, whoever sent it: another tab, a take, a file.

/** The SpeechRequest of the panels, without a seed. */
export function readRequest({ text, voice, emotion, advanced }) {
  const request = { text: text.text, voice: voice.voice, language: voice.language, speed: voice.speed.value, markup: true };
  return { ...request, ...emotion.request, ...advanced.request };
}

/** Takes over what `request` has; what it has not stays as it is. Values from files may be anything. */
export function useRequest({ text, voice, emotion, advanced, seed }, request) {
  if (typeof request.text === "string") text.text = request.text;
  voice.use(request);
  emotion.use(request);
  advanced.use(request);
  seed.lock(request.seed);
}
