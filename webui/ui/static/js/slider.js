// A Gradio slider: its range input and number field, read and set from outside, with a fill that follows the value.

/** `block`: the slider's element. `onInput(value)`: called for changes by a person. */
export class Slider {
  #range;
  #number;

  constructor(block, onInput) {
    this.block = block;
    this.#range = block.querySelector("input[type=range]");
    this.#number = block.querySelector("input[type=number]");
    this.initial = this.value;
    for (const input of [this.#range, this.#number]) {
      input.addEventListener("input", () => {
        const value = Number.parseFloat(input.value);
        if (!Number.isFinite(value)) return;
        this.#paint();
        onInput(this.value);
      });
    }
    // A number typed beyond the end is pulled back by Gradio when the field is left.
    this.#number.addEventListener("blur", () => requestAnimationFrame(() => (this.#paint(), onInput(this.value))));
    this.#paint();
  }

  /** A number within the slider's range. */
  get value() {
    const value = Number.parseFloat(this.#range.value);
    return Math.round(value * 1000) / 1000;
  }

  set value(wanted) {
    const low = Number.parseFloat(this.#range.min);
    const high = Number.parseFloat(this.#range.max);
    const value = Math.min(Math.max(wanted, low), high);
    const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    setter.call(this.#range, String(value));
    this.#range.dispatchEvent(new Event("input", { bubbles: true }));
    this.#paint();
  }

  /** Narrows the range; a value outside moves to its end. */
  setRange(low, high) {
    for (const input of [this.#range, this.#number]) {
      input.min = String(low);
      input.max = String(high);
    }
    this.value = this.value;
  }

  /** Sets the words for the eye and for screen readers. */
  setLabel(text) {
    const label = this.block.querySelector("[data-testid=block-info]");
    if (label && label.textContent.trim() !== text) {
      const words = [...label.childNodes].find((node) => node.nodeType === Node.TEXT_NODE);
      if (words) words.data = text;
    }
    for (const input of [this.#range, this.#number]) input.setAttribute("aria-label", text);
  }

  #paint() {
    const low = Number.parseFloat(this.#range.min);
    const high = Number.parseFloat(this.#range.max);
    const share = high > low ? (this.value - low) / (high - low) : 0;
    this.#range.style.setProperty("--tts-fill", `${(share * 100).toFixed(1)}%`);
  }
}
