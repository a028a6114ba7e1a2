// A take that is over: its sound, what made it, and where its segments lie. Shaped like a live `Take`, so that the
// player shows both.

const SILENT = { position: () => ({ seconds: 0, playing: false }), clock: 0, underruns: 0, close() {}, finish() {} };
const QUIET = 48; // below it (of 32768) a sample belongs to the pause behind a segment

export class KeptTake {
  sound = SILENT;
  stopped = false;

  /**
   * values: id, createdAt (ms), request, engine, rateHz, pcm, segments ({text, language, start...}), seed, synthesisS;
   * typed: what stood in the box, which is the request's text without what the segments' own emotions added.
   */
  constructor(values) {
    Object.assign(this, { starred: false, synthesisS: 0, seed: null, typed: values.request.text, ...values });
  }

  get samples() {
    return this.pcm.length;
  }

  /** Seconds of speech. */
  get seconds() {
    return this.pcm.length / this.rateHz;
  }

  /** Seconds of work for a second of speech; 0 when it is not known. */
  get rtf() {
    return this.seconds ? this.synthesisS / this.seconds : 0;
  }

  finish() {}

  /** First and last sample of a segment; null for one that was never spoken. */
  span(index) {
    const start = this.segments[index]?.start;
    if (start === undefined) return null;
    const next = this.segments.slice(index + 1).find((segment) => segment.start !== undefined);
    return [start, next?.start ?? this.pcm.length];
  }

  /** The text whose sound is heard at that second, and its index. */
  indexAt(seconds) {
    return this.segments.findLastIndex((segment) => segment.start !== undefined && segment.start / this.rateHz <= seconds);
  }

  textAt(seconds) {
    return this.segments[this.indexAt(seconds)]?.text ?? "";
  }

  /** A new take in which segment `index` sounds as `pcm`; `changes` are of that segment. */
  spliced(index, pcm, changes) {
    const [start, end] = this.span(index);
    const pause = Math.max(0, pauseOf(this.pcm.subarray(start, end)) - pauseOf(pcm));
    const shift = pcm.length + pause - (end - start);
    const whole = new Int16Array(this.pcm.length + shift);
    whole.set(this.pcm.subarray(0, start));
    whole.set(pcm, start);
    whole.set(this.pcm.subarray(end), end + shift);
    const segments = this.segments.map((segment, at) => {
      if (at === index) return { ...segment, ...changes };
      return at > index && segment.start !== undefined ? { ...segment, start: segment.start + shift } : segment;
    });
    return new KeptTake({ ...this.values, id: crypto.randomUUID?.() ?? String(Math.random()), createdAt: Date.now(), starred: false, pcm: whole, segments });
  }

  /** What is stored. */
  get values() {
    const { id, createdAt, request, typed, engine, rateHz, pcm, segments, seed, synthesisS, starred } = this;
    return { id, createdAt, request, typed, engine, rateHz, pcm, segments, seed, synthesisS, starred };
  }
}

/** Samples of pause at the end. */
function pauseOf(pcm) {
  let count = 0;
  while (count < pcm.length && Math.abs(pcm[pcm.length - 1 - count]) < QUIET) count += 1;
  return count;
}
