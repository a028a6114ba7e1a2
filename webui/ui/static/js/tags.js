// Tags in a text: the same rules as webui/markup.py, as far as the page writes tags or leaves them out of a count.

const KINDS = "emotion|emo|情感|情绪|speed|rate|语速|pause|break|停顿";
const TAG = new RegExp(
  String.raw`(?<!\\)(?<slashes>\\*)\[\s{0,8}(?:(?:${KINDS})\s{0,8}[=:：]\s{0,8}[^\[\]\n]{0,200}` +
    String.raw`|/\s{0,8}(?:emotion|emo|情感|情绪|speed|rate|语速)\s{0,8}|(?:pause|break|停顿)\s{0,8})\]`,
  "giu",
);

/** The text without its tags. */
export function plain(text) {
  return text.replace(TAG, (tag, slashes) => "\\".repeat(slashes.length >> 1) + (slashes.length % 2 ? tag.slice(slashes.length) : ""));
}

/** A text as it is said, so that nothing in it is a tag. */
export function escaped(text) {
  return text.replace(TAG, (tag, slashes) => `${slashes}\\${tag}`);
}

/** The tag that begins an emotion: values by name; none of them is the voice's own. */
export function emotionTag(emotion) {
  if (!emotion) return "[/emotion]";
  const values = Object.entries(emotion).filter(([, value]) => value > 0);
  return `[emotion=${values.map(([name, value]) => `${name}:${Number(value.toFixed(3))}`).join(",") || "neutral"}]`;
}

/** One text of segments `{text, emotion, speed, pause_s, pause_after_s}`; what is missing is the request's own. */
export function tagged(segments) {
  let out = "";
  let emotion = "[/emotion]";
  let speed = "[/speed]";
  for (const segment of segments) {
    const tags = [];
    const feels = emotionTag(segment.emotion);
    const pace = segment.speed ? `[speed=${segment.speed}]` : "[/speed]";
    if (feels !== emotion) tags.push(feels);
    if (pace !== speed) tags.push(pace);
    if (segment.pause_s) tags.push(`[pause=${segment.pause_s}s]`);
    [emotion, speed] = [feels, pace];
    if (tags.length) out = doubled(out);
    out += tags.join("") + escaped(segment.text);
  }
  const { pause_after_s: rest } = segments.at(-1) ?? {};
  return rest ? `${doubled(out)}[pause=${rest}s]` : out;
}

/** A text before a tag: the backslashes at its end twice. */
const doubled = (text) => text + "\\".repeat(text.length - text.replace(/\\+$/, "").length);
