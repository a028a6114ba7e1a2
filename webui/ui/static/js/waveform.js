// The waveform: bars that appear as speech arrives, with the part that was heard in a stronger colour.

const WINDOW_S = 0.02; // one peak for each
const BAR_PX = 3;
const GAP_PX = 2;

export class Waveform {
  #canvas;
  #peaks = [];
  #open = { peak: 0, left: 0 }; // the window that is not full yet
  #windowSamples = 480;
  #expectedS = 0;
  #heardS = 0;
  #marks = []; // seconds at which segments begin
  #suspects = []; // [from, to] in seconds: what sounds wrong
  #drawn = 0;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /** Empties it for speech of this rate. */
  begin(sampleRateHz) {
    this.#windowSamples = Math.round(sampleRateHz * WINDOW_S);
    this.#peaks = [];
    this.#open = { peak: 0, left: this.#windowSamples };
    this.#expectedS = 0;
    this.#heardS = 0;
    this.#marks = [];
    this.#suspects = [];
    this.#draw();
  }

  /** Adds samples (Int16Array); `expectedS` is how long the whole is likely to become. */
  push(pcm, expectedS) {
    for (let index = 0; index < pcm.length; index += 1) {
      const level = Math.abs(pcm[index]);
      if (level > this.#open.peak) this.#open.peak = level;
      this.#open.left -= 1;
      if (this.#open.left === 0) {
        this.#peaks.push(this.#open.peak / 32768);
        this.#open = { peak: 0, left: this.#windowSamples };
      }
    }
    this.#expectedS = expectedS;
    this.#draw();
  }

  /** Marks where segments begin, in seconds. */
  mark(seconds) {
    this.#marks = seconds;
    this.#draw();
  }

  /** Underlines what sounds wrong: pairs of seconds. */
  suspect(spans) {
    this.#suspects = spans;
    this.#draw();
  }

  /** All has arrived: the whole width is the speech. */
  finish() {
    this.#expectedS = 0;
    this.#draw();
  }

  /** Moves the line between heard and not heard yet. */
  hear(seconds) {
    if (Math.abs(seconds - this.#heardS) < WINDOW_S) return;
    this.#heardS = seconds;
    this.#draw();
  }

  /** The second of speech under a place on the canvas (0 to 1 of its width). */
  at(share) {
    return Math.min(share * this.#lengthS, this.#peaks.length * WINDOW_S);
  }

  /** Draws again, as after a change of colours. */
  redraw() {
    this.#draw();
  }

  get #lengthS() {
    return Math.max(this.#expectedS, this.#peaks.length * WINDOW_S);
  }

  #draw() {
    if (this.#drawn) return;
    this.#drawn = requestAnimationFrame(() => {
      this.#drawn = 0;
      this.#paint();
    });
  }

  #paint() {
    const canvas = this.#canvas;
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const colours = ["heard", "ahead", "empty"].map((name) => style.getPropertyValue(`--tts-wave-${name}`));
    const bars = Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX));
    const windows = this.#lengthS / WINDOW_S;
    for (let bar = 0; bar < bars; bar += 1) {
      const from = Math.floor((bar / bars) * windows);
      const to = Math.max(from + 1, Math.floor(((bar + 1) / bars) * windows));
      const made = windows > 0 && from < this.#peaks.length;
      const level = made ? Math.max(...this.#peaks.slice(from, to)) : 0;
      const tall = made ? Math.max(4, Math.sqrt(level) * height) : 4;
      pen.fillStyle = !made ? colours[2] : (from + 1) * WINDOW_S <= this.#heardS ? colours[0] : colours[1];
      pen.beginPath();
      pen.roundRect(bar * (BAR_PX + GAP_PX), (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
      pen.fill();
    }
    pen.fillStyle = style.getPropertyValue("--tts-wave-suspect");
    for (const [from, to] of this.#lengthS ? this.#suspects : []) {
      const left = Math.round((from / this.#lengthS) * width);
      pen.fillRect(left, height - 4, Math.max(Math.round((to / this.#lengthS) * width) - left - 1, 4), 4);
    }
    pen.fillStyle = style.getPropertyValue("--tts-wave-mark");
    for (const seconds of this.#marks) {
      if (seconds > 0 && this.#lengthS) pen.fillRect(Math.round((seconds / this.#lengthS) * width) - 1, 0, 1, height);
    }
  }
}
