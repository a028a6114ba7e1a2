"""OpenAI's ``instructions``: a description where the engine reads descriptions, words to numbers where it does not.

A description such as "Speak very cheerfully, a bit slowly" names emotions; this finds the names, in English and
Chinese, with "very" and "a bit" before them and "not" in front. It understands words, not sentences; what it
understood goes back to the client, so nobody has to believe more of it than that.

Invariants: pure, but for the fields that are filled in; the same words give the same numbers; a description without any
of the words gives nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from webui.emotion import EmotionVector
from webui.engine.request import MAX_EMOTION_TEXT_CHARS

#: Beginnings of words (so "cheer" is cheerful and cheerfully, too) that name each emotion.
_ENGLISH = {
    "happy": "happ|joy|cheer|glad|delight|excit|enthusias|upbeat|playful|friendly|bright|amus",
    "angry": "angr|furious|rage|irritat|annoy|outrag|hostil|stern|aggressiv",
    "sad": "sad|sorrow|grie|mourn|tearful|heartbroken|unhapp|somber|sombre",
    "afraid": "afraid|fear|scare|scary|terrif|anxious|nervous|panick|worried|frighten",
    "disgusted": "disgust|revolt|repuls|contempt|sarcas|sneer",
    "melancholic": "melanchol|gloom|wistful|weary|tired|depress|downcast|nostalg",
    "surprised": "surpris|astonish|amaz|shock|startl",
    "calm": "calm|peaceful|sooth|gentl|relax|seren|tranquil|soft|meditat|neutral",
}
_CHINESE = {
    "happy": "高兴|开心|快乐|喜悦|欢快|兴奋|愉快|活泼|热情",
    "angry": "生气|愤怒|恼火|发怒|暴躁|严厉",
    "sad": "悲伤|难过|伤心|哀伤|悲痛",
    "afraid": "害怕|恐惧|惊恐|紧张|担心",
    "disgusted": "厌恶|嫌弃|反感|讽刺",
    "melancholic": "忧郁|低落|沮丧|疲惫|惆怅",
    "surprised": "惊讶|惊喜|吃惊|震惊",
    "calm": "平静|冷静|温柔|柔和|舒缓|轻柔|放松",
}
#: Strength of a word that stands alone, and factors of what stands before it.
_ALONE = 0.6
_STRONGER = ("very", "extremely", "really", "so", "deeply", "highly", "非常", "十分", "特别", "极其", "很")
_WEAKER = ("slightly", "somewhat", "a bit", "a little", "mildly", "有点", "稍微", "略带", "略")
_NOT = ("not", "no", "never", "without", "don't", "dont", "isn't", "less", "不要", "别", "不", "没有")
_FACTORS = {**dict.fromkeys(_STRONGER, 1.5), **dict.fromkeys(_WEAKER, 0.5)}
#: Words about pace, and the speed that they mean; `SpeechRequest.speed`.
_PACES = (
    (re.compile(r"\b(very|extremely) (slow|slowly)\b|非常慢|很慢"), 0.7),
    (re.compile(r"\b(very|extremely) (fast|quick|quickly|rapidly)\b|非常快|很快"), 1.4),
    (re.compile(r"\bslow(ly|er)?\b|慢"), 0.85),
    (re.compile(r"\b(fast|faster|quick|quickly|rapid|rapidly)\b|快(?!乐)"), 1.2),
)
_MODIFIERS = sorted((*_STRONGER, *_WEAKER, *_NOT), key=len, reverse=True)
_BETWEEN = r"(?:\W+(?:too|be|sound|and|in|a)\b)*\W*"
_BEFORE_ENGLISH = re.compile(rf"\b({'|'.join(word for word in _MODIFIERS if word.isascii())})\b{_BETWEEN}$")
_BEFORE_CHINESE = re.compile(rf"({'|'.join(word for word in _MODIFIERS if not word.isascii())})[地的太]?$")


def follow_instructions(instructions: object, fields: dict[str, Any], capabilities: Collection[str]) -> str | None:
    """Adds what instructions say to a request's fields; what the request says of its emotion itself wins.

    Args:
        instructions: as the client sent them.
        fields: of a `SpeechRequest`; added to.
        capabilities: of the engine.

    Returns:
        What was understood (``happy=0.9,speed=0.85``), empty when nothing was; ``None`` when there are no
        instructions, or the engine reads them itself.
    """
    if not isinstance(instructions, str) or not instructions.strip():
        return None
    given = {"emotion", "emotion_text", "emotion_reference"} & fields.keys()
    if "emotion_text" in capabilities and not given:
        fields["emotion_text"] = instructions[:MAX_EMOTION_TEXT_CHARS]
        return None
    emotion, speed = read_instructions(instructions)
    understood = []
    if emotion.total and not given and "emotion_vector" in capabilities:
        fields["emotion"] = emotion.as_dict()
        understood += [f"{name}={value:g}" for name, value in emotion.as_dict().items()]
    if speed is not None and "speed" not in fields:
        fields["speed"] = speed
        understood.append(f"speed={speed:g}")
    return ",".join(understood)


def read_instructions(text: str) -> tuple[EmotionVector, float | None]:
    """The emotion and the speed that a description names; neutral and ``None`` when it names none.

    Args:
        text: as the client wrote it; only its first 1000 characters count.
    """
    words = text[:1000].lower()
    found: dict[str, float] = {}
    for emotion, english in _ENGLISH.items():
        for match in re.finditer(rf"\b(?:{english})|{_CHINESE[emotion]}", words):
            strength = round(_ALONE * _factor(words[: match.start()]), 2)
            found[emotion] = max(found.get(emotion, 0.0), strength)
    speed = next((pace for pattern, pace in _PACES if pattern.search(words)), None)
    # More than one emotion shares the room that one would have.
    return EmotionVector(**found).limited(1.0), speed


def _factor(before: str) -> float:
    """What the words before a name make of it: 0 for "not"."""
    match = _BEFORE_ENGLISH.search(before[-40:]) or _BEFORE_CHINESE.search(before[-10:])
    if match is None:
        return 1.0
    return _FACTORS.get(match.group(1), 0.0)
