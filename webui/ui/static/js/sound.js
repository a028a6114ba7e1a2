// Plays PCM while the rest is still being made: every chunk is scheduled right behind the one before it, in one
// audio clock, behind a small buffer that grows when the engine was once too slow.

const FIRST_BUFFER_S = 0.15;
const LARGEST_BUFFER_S = 5;
const BUFFER_GROWTH = 4; // an engine slower than speech then pauses seldom and for long, not often and for short
const LEAD_S = 0.05; // between deciding to play and the first sample

export class Sound {
  #context = null;
  #sources = new Set();
  #waiting = []; // buffers that are not scheduled yet
  #waitingS = 0;
  #bufferS = FIRST_BUFFER_S;
  #spans = []; // what was scheduled: {start, end} in the audio clock, {at} in the speech
  #scheduledS = 0; // speech that was scheduled
  #rateHz;
  #ended = false;
  #refilling = false; // silent because the engine was late, until the buffer is full again
  underruns = 0;

  /** Call in the handler of a key or a click: browsers let sound begin only there. */
  constructor(sampleRateHz) {
    this.#rateHz = sampleRateHz;
    try {
      // The stream's own rate: else every chunk is resampled alone, and its edges click.
      this.#context = new AudioContext({ sampleRate: sampleRateHz, latencyHint: "interactive" });
      this.#context.resume().catch(() => {});
    } catch {
      this.#context = null; // no sound device or no WebAudio: the file can still be heard afterwards
    }
  }

  /** Whether this browser can play it at all. */
  get usable() {
    return this.#context !== null;
  }

  /** The rate of what follows, when the stream differs from what was expected. */
  setRate(sampleRateHz) {
    this.#rateHz = sampleRateHz;
  }

  /** Takes the next samples (Int16Array). */
  push(pcm) {
    if (!this.#context || pcm.length === 0) return;
    const buffer = this.#context.createBuffer(1, pcm.length, this.#rateHz);
    const channel = buffer.getChannelData(0);
    for (let index = 0; index < pcm.length; index += 1) channel[index] = pcm[index] / 32768;
    this.#waiting.push(buffer);
    this.#waitingS += buffer.duration;
    this.#schedule();
  }

  /** Nothing more will come: what waits is played now. */
  finish() {
    this.#ended = true;
    if (this.#context) this.#schedule();
  }

  /** Seconds of speech that have been heard, and whether any is left to hear. */
  position() {
    const now = this.#context ? this.#context.currentTime : 0;
    let heard = 0;
    for (const span of this.#spans) {
      if (now >= span.end) heard = span.at + (span.end - span.start);
      else return { seconds: now > span.start ? span.at + (now - span.start) : heard, playing: true };
    }
    return { seconds: heard, playing: this.#context !== null && (!this.#ended || this.#waiting.length > 0) };
  }

  /** The audio clock in seconds; it stands still until a browser allows sound. */
  get clock() {
    return this.#context ? this.#context.currentTime : 0;
  }

  /** Silence, at once and for good. */
  close() {
    this.#ended = true;
    this.#waiting = [];
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    if (this.#context && this.#context.state !== "closed") this.#context.close().catch(() => {});
    this.#context = null;
  }

  #schedule() {
    const now = this.#context.currentTime;
    const last = this.#spans.at(-1);
    const silent = !last || last.end <= now;
    if (silent && last && this.#waiting.length && !this.#refilling) {
      this.#refilling = true;
      this.underruns += 1;
      this.#bufferS = Math.min(this.#bufferS * BUFFER_GROWTH, LARGEST_BUFFER_S);
    }
    if (silent && !this.#ended && this.#waitingS < this.#bufferS) return;
    this.#refilling = false;
    let start = silent ? now + LEAD_S : last.end;
    for (const buffer of this.#waiting) {
      const source = this.#context.createBufferSource();
      source.buffer = buffer;
      source.connect(this.#context.destination);
      source.onended = () => this.#sources.delete(source);
      source.start(start);
      this.#sources.add(source);
      this.#spans.push({ start, end: start + buffer.duration, at: this.#scheduledS });
      this.#scheduledS += buffer.duration;
      start += buffer.duration;
    }
    this.#waiting = [];
    this.#waitingS = 0;
  }
}
