// A take as a file that says what made it, and a file read back. The other side is webui/api/encoding.py.

import { route } from "./server.js";
import { wav } from "./wav.js";

export const FORMATS = ["wav", "flac", "mp3", "opus"];
/** What podcasts use for one voice; webui/loudness.py says why. */
const SPEECH_LUFS = -19;
const MARK = "tts-launcher-take:";
const END = ";";
const FRAME_SAMPLES = 1 << 19;
const EDGE_BYTES = 1 << 18; // every format has its comment near one end
const LARGEST_COMMENT = 4 << 20;

/** What a file says of its take. */
export function about(take) {
  const { request, seed, engine, createdAt, rateHz } = take;
  const segments = take.segments.map(({ start, emotion, seed: own }) => ({ start_s: round((start ?? 0) / rateHz), emotion, seed: own }));
  return { version: 1, request, seed, engine, created_at: new Date(createdAt).toISOString(), segments };
}

/** A Blob of the take. `even`: whether it is brought to the loudness of speech. */
export async function fileOf(take, format, even) {
  if (format === "wav" && !even) return wav([take.pcm], take.rateHz, await packed(about(take)));
  const event = { event: "take", sample_rate_hz: take.rateHz, format, take: about(take), loudness_lufs: even ? SPEECH_LUFS : null };
  const parts = [...frame(0x4a, new TextEncoder().encode(JSON.stringify(event)))];
  for (let at = 0; at < take.pcm.length; at += FRAME_SAMPLES) {
    const piece = take.pcm.subarray(at, at + FRAME_SAMPLES);
    parts.push(...frame(0x50, new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength)));
  }
  const answer = await fetch(route("api/encode"), { method: "POST", body: new Blob(parts) });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.blob();
}

/** What made the take in a file: `about`'s object, or null when the file says nothing. */
export async function readTake(file) {
  for (const part of [file.slice(0, EDGE_BYTES), file.slice(Math.max(0, file.size - EDGE_BYTES))]) {
    const text = new TextDecoder("latin1").decode(await part.arrayBuffer());
    const at = text.indexOf(MARK);
    const end = text.indexOf(END, at);
    if (at < 0 || end < 0) continue;
    try {
      const value = await unpacked(text.slice(at + MARK.length, end));
      if (value && typeof value === "object" && typeof value.request === "object") return value;
    } catch {
      // damaged, or something else that happens to carry the mark
    }
  }
  return null;
}

async function packed(object) {
  const bytes = await through(new TextEncoder().encode(JSON.stringify(object)), new CompressionStream("deflate"));
  return MARK + btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) + END;
}

async function unpacked(words) {
  const bytes = Uint8Array.from(atob(words), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate"))));
}

async function through(bytes, stream) {
  const chunks = [];
  let size = 0;
  for await (const chunk of read(new Blob([bytes]).stream().pipeThrough(stream))) {
    size += chunk.length;
    if (size > LARGEST_COMMENT) throw new Error("too much");
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

async function* read(stream) {
  const reader = stream.getReader(); // Safari has no iteration over streams
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function frame(kind, payload) {
  const head = new DataView(new ArrayBuffer(5));
  head.setUint8(0, kind);
  head.setUint32(1, payload.byteLength);
  return [head, payload];
}

const round = (seconds) => Math.round(seconds * 1000) / 1000;
