// Recording with the microphone, as it is: what browsers do for calls (echo, noise, level) would change the voice.

const LEVEL_MS = 80;

/** Whether this page may use a microphone; browsers give one to https and to this computer alone. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

export class Microphone {
  #stream = null;
  #recorder = null;
  #context = null;
  #parts = [];
  #timer = 0;

  /** Begins; onLevel gets the loudness (0 to 1) and the seconds so far. Rejects when there is no microphone. */
  async start(onLevel) {
    const wish = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
    this.#context = new AudioContext();
    const meter = this.#context.createAnalyser();
    meter.fftSize = 2048;
    this.#context.createMediaStreamSource(this.#stream).connect(meter);
    this.#parts = [];
    this.#recorder = new MediaRecorder(this.#stream);
    this.#recorder.addEventListener("dataavailable", (event) => this.#parts.push(event.data));
    this.#recorder.start();
    const began = performance.now();
    const samples = new Float32Array(meter.fftSize);
    this.#timer = setInterval(() => {
      meter.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      onLevel(Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-9) / 5)), (performance.now() - began) / 1000);
    }, LEVEL_MS);
  }

  get recording() {
    return this.#recorder?.state === "recording";
  }

  /** Ends and gives what was recorded, in whatever format the browser records. */
  async stop() {
    clearInterval(this.#timer);
    const ended = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve, { once: true }));
    this.#recorder.stop();
    await ended;
    for (const track of this.#stream.getTracks()) track.stop();
    await this.#context.close();
    return new Blob(this.#parts, { type: this.#recorder.mimeType });
  }
}
