r"""Tags in a text that say how what follows is spoken: ``[emotion=happy]``, ``[speed=fast]``, ``[pause=500ms]``.

One markup for page, API, batch and command line. What is not a tag is text: ``[1]`` and ``[sic]`` are spoken, and a
backslash before a tag (``\[pause]``) makes it text, too. A tag holds until the next one of its kind or until its end,
``[/emotion]``; `docs/studio.md` has the whole list.

Invariants: nothing of the text is lost (the passages' texts joined are the text without its tags); `parse` undoes
`render`; time is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from launcher.errors import SpeechError
from webui.emotion import EMOTIONS, NEUTRAL, EmotionVector
from webui.text import is_speakable

#: Longest silence of one tag and of all tags of a text, in seconds.
MAX_PAUSE_S, MAX_PAUSES_S = 10.0, 120.0
#: Strength of an emotion that is only named: the largest sum that IndexTTS speaks.
NAMED_STRENGTH = 0.8
#: Factors of the named speeds, and the limits of a number; those of `SpeechRequest.speed`.
SPEEDS = {"x-slow": 0.65, "slow": 0.8, "normal": 1.0, "fast": 1.25, "x-fast": 1.5}
SPEED_LIMITS = (0.25, 4.0)
#: Seconds of the named pauses; ``[pause]`` alone is a medium one.
PAUSES_S = {"short": 0.25, "medium": 0.5, "long": 1.0}
#: A bare number is seconds up to here, milliseconds above: nobody pauses for 500 s.
_LARGEST_BARE_SECONDS = MAX_PAUSE_S

_KINDS = {"emotion": "emotion", "emo": "emotion", "情感": "emotion", "情绪": "emotion", "speed": "speed"} | {
    **dict.fromkeys(("语速", "rate"), "speed"),
    **dict.fromkeys(("pause", "break", "停顿"), "pause"),
}
#: Backslashes, then a tag with a value, an end, or a pause alone. A value may not be long: the search stays linear.
_TAG = re.compile(
    rf"(?<!\\)(?P<slashes>\\*)\[\s{{0,8}}(?:"
    rf"(?P<kind>{'|'.join(sorted(_KINDS, key=len, reverse=True))})\s{{0,8}}[=:：]\s{{0,8}}(?P<value>[^\[\]\n]{{0,200}})"
    rf"|/\s{{0,8}}(?P<end>emotion|emo|情感|情绪|speed|rate|语速)\s{{0,8}}|(?P<bare>pause|break|停顿)\s{{0,8}})\]",
    re.IGNORECASE,
)
_NEUTRAL_NAMES = {"neutral", "none", "normal", "default", "中性", "无"}
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "happy": ("happiness", "joy", "joyful", "cheerful", "喜", "高兴", "开心", "快乐"),
    "angry": ("anger", "怒", "愤怒", "生气"),
    "sad": ("sadness", "哀", "悲伤", "难过"),
    "afraid": ("fear", "fearful", "scared", "惧", "恐惧", "害怕"),
    "disgusted": ("disgust", "厌恶"),
    "melancholic": ("melancholy", "gloomy", "低落", "忧郁"),
    "surprised": ("surprise", "惊喜", "惊讶"),
    "calm": ("peaceful", "平静"),
}
_EMOTION_NAMES = {name: name for name in EMOTIONS} | {
    synonym: name for name, synonyms in _SYNONYMS.items() for synonym in synonyms
}
_SPEED_NAMES = SPEEDS | {"慢": SPEEDS["slow"], "正常": 1.0, "快": SPEEDS["fast"], "slower": 0.8, "faster": 1.25}
_PAUSE_NAMES = PAUSES_S | {"短": PAUSES_S["short"], "中": PAUSES_S["medium"], "长": PAUSES_S["long"]}
_NUMBER = r"\d{1,6}(?:\.\d{0,20})?(?:e-?\d{1,3})?|\.\d{1,20}"
_SPEED = re.compile(rf"({_NUMBER})\s*([x×倍%％]?)", re.IGNORECASE)
_PAUSE = re.compile(rf"({_NUMBER})\s*(ms|s|毫秒|秒)?", re.IGNORECASE)
#: At a tag: signs that end what is before it and signs that begin what is behind it. The straight quotation marks are
#: both; a full stop before a digit is its decimal point, a dash behind a blank begins something.
_ENDING = re.compile(r"(?:[”’»』」】）〉》］｝)\]}。！？；，、…‥｡､⋯؟：!?;:,—\"']|\.(?!\d))\s*")
_BEGINNING = re.compile(r"[“‘«『「【（〈《［｛(\[{\"']+$")


@dataclass(frozen=True)
class Passage:
    """A stretch of text that is spoken in one manner.

    Attributes:
        text: without tags.
        emotion: of this stretch; ``None`` is that of the request, `NEUTRAL` the voice's own.
        speed: factor on the request's speed; ``None`` is 1.
        pause_s: seconds of silence before it.
    """

    text: str
    emotion: EmotionVector | None = None
    speed: float | None = None
    pause_s: float = 0.0


def parse(text: str) -> tuple[Passage, ...]:
    """The text in passages; two neighbours always differ or have a pause between them.

    Only the last one may have no text: a pause at the end. A text without tags is one passage.

    Raises:
        SpeechError: for a tag with a value that it cannot have.
    """
    found: list[Passage] = []
    current = Passage("")
    start = 0
    for match in _TAG.finditer(text):
        slashes = len(match["slashes"])
        current = _say(current, text[start : match.start()] + "\\" * (slashes // 2))
        start = match.end()
        if slashes % 2:
            current = _say(current, match[0][slashes:])
            continue
        following = _apply(current, match)
        if following.pause_s or following != current:
            if current.text:
                found.append(current)
            else:
                following = replace(following, pause_s=following.pause_s + current.pause_s)
            current = replace(following, text="")
    current = _say(current, text[start:])
    if current.text or current.pause_s:
        found.append(current)
    merged = _merged(found)
    if math.fsum(passage.pause_s for passage in merged) > MAX_PAUSES_S:
        raise _wrong(f"the pauses of this text are longer than {MAX_PAUSES_S:g} s together", "Make them shorter.")
    return merged


def render(passages: Iterable[Passage]) -> str:
    """The text with tags of which `parse` makes the passages again."""
    parts: list[str] = []
    emotion: EmotionVector | None = None
    speed: float | None = None
    for passage in passages:
        tags = []
        if passage.emotion != emotion:
            emotion = passage.emotion
            tags.append(emotion_tag(emotion))
        if passage.speed != speed:
            speed = passage.speed
            tags.append("[/speed]" if speed is None else f"[speed={speed!r}]")
        if passage.pause_s:
            tags.append(f"[pause={passage.pause_s!r}s]")
        if tags and parts:
            parts.append(_doubled_at_end(parts.pop()))
        parts += [*tags, _escaped(passage.text)]
    return "".join(parts)


def emotion_tag(emotion: EmotionVector | None) -> str:
    """The tag that begins an emotion; ``None`` ends the one before."""
    if emotion is None:
        return "[/emotion]"
    values = ",".join(f"{name}:{value!r}" for name, value in emotion.as_dict().items())
    return f"[emotion={values or 'neutral'}]"


def plain(text: str) -> str:
    """The text without its tags."""
    return "".join(passage.text for passage in parse(text))


def map_text(text: str, change: Callable[[str], str]) -> str:
    """The text with ``change`` made to what is spoken; its tags stay."""
    return render(replace(passage, text=change(passage.text)) for passage in parse(text))


def spoken(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """The passages so joined that each has something to say; the last may be a pause alone.

    A full stop or a closing quotation mark behind a tag goes to the sentence before it, an opening one before a tag to
    the sentence behind it, signs at the beginning to the first passage that speaks.
    """
    found: list[Passage] = []
    head, pause_s = "", 0.0
    quotes = 0  # straight double ones so far
    for passage in passages:
        pause_s += passage.pause_s
        if is_speakable(passage.text):
            text = passage.text
            if found:
                before, text = _at_seam(found[-1].text, text, quotes)
                found[-1] = replace(found[-1], text=before)
            found.append(replace(passage, text=head + text, pause_s=pause_s))
            head, pause_s = "", 0.0
        elif found:
            found[-1] = replace(found[-1], text=found[-1].text + passage.text)
        else:
            head += passage.text
        quotes += passage.text.count('"')
    if not found:
        raise SpeechError(
            "text holds tags and signs only, nothing that can be spoken.",
            fix="Add a word or a number.",
            param="input",
            code="nothing_to_say",
        )
    if pause_s:
        found.append(Passage("", pause_s=pause_s))
    return tuple(found)


def _at_seam(before: str, after: str, quotes: int) -> tuple[str, str]:
    """Two texts with a tag between them, each with the signs that belong to it.

    Args:
        before, after: both have something to say.
        quotes: straight double quotation marks up to the tag; after an odd number the next one closes.
    """
    at = 0
    while (match := _ENDING.match(after, at)) and _ends(before, after, at, quotes):
        quotes += after[at] == '"'
        at = match.end()
    if at:
        return before + after[:at], after[at:]
    match = _BEGINNING.search(before)
    begin = match.start() if match else len(before)
    while begin < len(before) and before[begin] in "\"'" and not _opens(before, begin, quotes):
        begin += 1
    return before[:begin], before[begin:] + after


def _ends(before: str, after: str, at: int, quotes: int) -> bool:
    """Whether a sign at the beginning of ``after`` ends something, where its kind alone does not tell."""
    if after[at] == '"':
        return quotes % 2 == 1
    if after[at] == "'":
        return not after[at + 1 : at + 2].isalnum()
    return after[at] != "—" or not (after[at - 1] if at else before[-1]).isspace()


def _opens(before: str, at: int, quotes: int) -> bool:
    """Whether the straight quotation mark at the end of a text begins something."""
    if before[at] == '"':
        return (quotes - before[at:].count('"')) % 2 == 0
    return at == 0 or before[at - 1].isspace()


def _say(passage: Passage, text: str) -> Passage:
    return replace(passage, text=passage.text + text) if text else passage


def _apply(before: Passage, match: re.Match[str]) -> Passage:
    """What follows a tag: a passage like ``before`` but for what the tag says."""
    tag = match[0].lstrip("\\")
    if match["end"]:
        if _KINDS[match["end"].lower()] == "emotion":
            return replace(before, pause_s=0.0, emotion=None)
        return replace(before, pause_s=0.0, speed=None)
    kind = "pause" if match["bare"] else _KINDS[match["kind"].lower()]
    value = (match["value"] or "").strip().lower()
    if kind == "emotion":
        return replace(before, pause_s=0.0, emotion=_emotion(tag, value))
    if kind == "speed":
        return replace(before, pause_s=0.0, speed=_speed(tag, value))
    return replace(before, pause_s=PAUSES_S["medium"] if match["bare"] else _pause(tag, value))


def _emotion(tag: str, value: str) -> EmotionVector:
    if value in _NEUTRAL_NAMES:
        return NEUTRAL
    values: dict[str, float] = {}
    for part in re.split(r"[,，、;；]", value):
        name, given, number = (piece.strip() for piece in re.sub("[=：]", ":", part).partition(":"))
        if name not in _EMOTION_NAMES:
            raise _wrong(f"{tag} names no emotion that is known", f"Use one of {', '.join(EMOTIONS)}, neutral")
        strength = float(number) if re.fullmatch(_NUMBER, number) else math.nan if given else NAMED_STRENGTH
        if not 0.0 <= strength <= 1.0:
            raise _wrong(f"{tag} has a strength that is no number from 0 to 1", f"Write [emotion={name}:0.7]")
        values[_EMOTION_NAMES[name]] = strength
    return EmotionVector(**values)


def _speed(tag: str, value: str) -> float:
    if value in _SPEED_NAMES:
        return _SPEED_NAMES[value]
    match = _SPEED.fullmatch(value)
    factor = float(match[1]) / (100.0 if match[2] in ("%", "％") else 1.0) if match else math.nan
    low, high = SPEED_LIMITS
    if not low <= factor <= high:
        raise _wrong(
            f"{tag} has a speed that is not known", f"Use {', '.join(SPEEDS)}, or a number from {low:g} to {high:g}"
        )
    return factor


def _pause(tag: str, value: str) -> float:
    if value in _PAUSE_NAMES:
        return _PAUSE_NAMES[value]
    match = _PAUSE.fullmatch(value)
    seconds = float(match[1]) if match else math.nan
    if match and (match[2] in ("ms", "毫秒") or (not match[2] and seconds > _LARGEST_BARE_SECONDS)):
        seconds /= 1000.0
    if not 0.0 <= seconds <= MAX_PAUSE_S:
        raise _wrong(f"{tag} has no length from 0 to {MAX_PAUSE_S:g} s", "Write [pause=500ms] or [pause=0.5s]")
    return seconds


def _merged(passages: list[Passage]) -> tuple[Passage, ...]:
    """Neighbours that are spoken alike made one."""
    merged: list[Passage] = []
    for passage in passages:
        last = merged[-1] if merged else None
        if last is not None and not passage.pause_s and (last.emotion, last.speed) == (passage.emotion, passage.speed):
            merged[-1] = replace(last, text=last.text + passage.text)
        else:
            merged.append(passage)
    if merged and not merged[-1].text:  # a pause at the end is spoken in no manner
        merged[-1] = Passage("", pause_s=merged[-1].pause_s)
    return tuple(merged)


def _escaped(text: str) -> str:
    """The text with a backslash before everything that would be a tag, and those before it doubled."""
    return _TAG.sub(lambda match: match["slashes"] * 2 + "\\" + match[0][len(match["slashes"]) :], text)


def _doubled_at_end(text: str) -> str:
    """Backslashes at the end, which a tag follows, twice."""
    return text + "\\" * (len(text) - len(text.rstrip("\\")))


def _wrong(what: str, fix: str) -> SpeechError:
    hint = f"{fix.rstrip('.')}; a backslash before the bracket has it spoken." if "[" in what else fix
    return SpeechError(f"{what}.", fix=hint, param="input", code="wrong_tag")
