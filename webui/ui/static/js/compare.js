// Two takes at once, of which one is heard: they run in one audio clock, so that switching stays at the same place.

const FADE_S = 0.008; // a switch without a click

export class Compare {
  #context = null;
  #gains = [];
  #startedAt = 0;
  #offset = 0;
  #lengthS = 0;
  #heard = 0;

  /** Whether it plays. */
  get playing() {
    return this.#context !== null && this.position < this.#lengthS;
  }

  /** Seconds from the beginning. */
  get position() {
    return this.#context ? this.#offset + Math.max(0, this.#context.currentTime - this.#startedAt) : this.#offset;
  }

  /** Which one is heard: 0 or 1. */
  get heard() {
    return this.#heard;
  }

  /** Plays two takes from `offset` seconds; call it in the handler of a key or click. */
  play(takes, offset = 0) {
    this.stop();
    const context = new AudioContext({ latencyHint: "interactive" });
    this.#context = context;
    this.#lengthS = Math.max(...takes.map((take) => take.seconds));
    this.#offset = offset < this.#lengthS ? offset : 0;
    this.#startedAt = context.currentTime + 0.03;
    this.#gains = takes.map((take, at) => {
      const buffer = context.createBuffer(1, Math.max(take.pcm.length, 1), take.rateHz);
      buffer.copyToChannel(Float32Array.from(take.pcm, (sample) => sample / 32768), 0);
      const source = context.createBufferSource();
      const gain = context.createGain();
      source.buffer = buffer;
      gain.gain.value = at === this.#heard ? 1 : 0;
      source.connect(gain).connect(context.destination);
      source.start(this.#startedAt, Math.min(this.#offset, take.seconds));
      return gain;
    });
  }

  /** Hears one of them from now on. */
  hear(which) {
    this.#heard = which;
    this.#gains.forEach((gain, at) => gain.gain.setTargetAtTime(at === which ? 1 : 0, this.#context.currentTime, FADE_S));
  }

  /** Silence; the place is kept. */
  stop() {
    this.#offset = Math.min(this.position, this.#lengthS);
    this.#context?.close().catch(() => {});
    this.#context = null;
    this.#gains = [];
  }
}
