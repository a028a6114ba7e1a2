// Cuts the answer of /api/speak into frames: one byte of kind, four of length (big-endian), the payload.
// The other side is launcher/frames.py.

const HEADER_BYTES = 5;
const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;
const EVENT = 0x4a; // J
const PCM = 0x50; // P

/** The stream is not one of frames. */
export class FrameError extends Error {}

export class FrameReader {
  #pending = new Uint8Array(0);

  /** Takes the next bytes; gives the frames that are now complete: `{event}` (an object) or `{pcm}` (Int16Array). */
  feed(bytes) {
    let buffer = bytes;
    if (this.#pending.length) {
      buffer = new Uint8Array(this.#pending.length + bytes.length);
      buffer.set(this.#pending);
      buffer.set(bytes, this.#pending.length);
    }
    const frames = [];
    let at = 0;
    while (buffer.length - at >= HEADER_BYTES) {
      const length = new DataView(buffer.buffer, buffer.byteOffset + at + 1, 4).getUint32(0);
      if ((buffer[at] !== EVENT && buffer[at] !== PCM) || length > MAX_PAYLOAD_BYTES) throw new FrameError("no frame");
      const end = at + HEADER_BYTES + length;
      if (buffer.length < end) break;
      frames.push(decode(buffer[at], buffer.slice(at + HEADER_BYTES, end)));
      at = end;
    }
    this.#pending = buffer.slice(at);
    return frames;
  }
}

function decode(kind, payload) {
  if (kind === PCM) return { pcm: samples(payload) };
  try {
    return { event: JSON.parse(new TextDecoder().decode(payload)) };
  } catch {
    throw new FrameError("an event frame holds no JSON");
  }
}

function samples(payload) {
  const count = payload.length >> 1;
  const view = new DataView(payload.buffer, payload.byteOffset, count * 2);
  const pcm = new Int16Array(count);
  for (let index = 0; index < count; index += 1) pcm[index] = view.getInt16(index * 2, true);
  return pcm;
}
