// A WAV file from 16-bit mono PCM, and a name under which a person finds it again.

const HEADER_BYTES = 44;
const SOFTWARE = "tts-launcher";

/** A Blob that holds the chunks (Int16Array, in order) as one WAV file; `comment` (ASCII) lies behind the samples. */
export function wav(chunks, sampleRateHz, comment = "") {
  const dataBytes = chunks.reduce((sum, chunk) => sum + chunk.length * 2, 0);
  const list = comment ? information({ ISFT: SOFTWARE, ICMT: comment }) : new Uint8Array(0);
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const word = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + dataBytes + list.length, true);
  word(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // size of the format block
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, sampleRateHz, true);
  header.setUint32(28, sampleRateHz * 2, true); // bytes per second
  header.setUint16(32, 2, true); // bytes per sample of all channels
  header.setUint16(34, 16, true); // bits per sample
  word(36, "data");
  header.setUint32(40, dataBytes, true);
  return new Blob([header, ...chunks, list], { type: "audio/wav" });
}

/** The LIST/INFO chunk with these entries. */
function information(entries) {
  const size = (text) => text.length + 1 + ((text.length + 1) % 2);
  const total = Object.values(entries).reduce((sum, text) => sum + 8 + size(text), 4);
  const chunk = new DataView(new ArrayBuffer(8 + total));
  const word = (at, text) => [...text].forEach((letter, i) => chunk.setUint8(at + i, letter.charCodeAt(0)));
  word(0, "LIST");
  chunk.setUint32(4, total, true);
  word(8, "INFO");
  let at = 12;
  for (const [name, text] of Object.entries(entries)) {
    word(at, name);
    chunk.setUint32(at + 4, text.length + 1, true);
    word(at + 8, text);
    at += 8 + size(text);
  }
  return new Uint8Array(chunk.buffer);
}

/** A file name from the first words, the voice and the time; only characters that every system takes. */
export function fileName(text, voice, time = new Date(), ending = "wav") {
  const two = (number) => String(number).padStart(2, "0");
  const day = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}`;
  const stamp = `${day}-${two(time.getHours())}${two(time.getMinutes())}${two(time.getSeconds())}`;
  const words = [...text.normalize("NFC").replace(/[^\p{L}\p{N}]+/gu, "-")].slice(0, 24).join("");
  return `${[words.replace(/^-+|-+$/g, ""), voice, stamp].filter(Boolean).join("_")}.${ending}`;
}
