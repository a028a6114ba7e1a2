"""How Mandarin tones change beside each other.

Rules as in San Duanmu, *The Phonology of Standard Chinese* (2nd ed., 2007), chapters 11 and 12: third tones, 一 and 不,
neutral tones of particles, suffixes and doubled verbs; and the suffix 儿, which joins the syllable before it.

Invariants: pure; words keep their number and order; a word keeps its number of syllables until `joined_erhua`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from webui.engine.kokoro.g2p.words import FULL_ER, FULL_TZE_AFTER, NEUTRAL_ENDING


@dataclass(frozen=True)
class Reading:
    """A character and how it is read.

    Attributes:
        character: one Han character.
        base: pinyin without tone.
        tone: 1 to 5.
        erhua: whether the suffix 儿 has joined it.
    """

    character: str
    base: str
    tone: int
    erhua: bool = False

    def with_tone(self, tone: int) -> Reading:
        """The same with another tone."""
        return replace(self, tone=tone)


Word = list[Reading]

_PARTICLES = frozenset("的了着过吗嘛呢吧啊呀哇啦呗喽么嗎麼們")
_WEAK_SUFFIXES = frozenset("的了着吗呢吧么")
_KIN_DOUBLED = frozenset("妈爸爷奶哥姐弟妹叔舅姑婶嫂公婆太娃宝星猩媽爺嬸寶")
_VERBS_DOUBLED = frozenset("看试想走说听问聊谈尝玩歇写读查讲笑逛找坐擦洗猜算瞧閒試說聽問談嘗寫讀講")
_DIGITS = frozenset("零〇一二三四五六七八九两幺")
_TENS = frozenset("十百千万亿")
# After these 一 is an ordinal: 一月 is January, 一楼 the first floor.
_ORDINAL_AFTER = frozenset("月号日楼级等班")


def spoken(words: list[Word]) -> list[Word]:
    """The words of one breath, as they are said.

    Args:
        words: what stands between two stops, in dictionary tones.
    """
    words = [_neutral_word(word) for word in words]
    words = _split(_one_and_not(_flat(words)), words)
    words = [joined_erhua(word) for word in words]
    return _third_tones(words)


def _flat(words: list[Word]) -> Word:
    return [reading for word in words for reading in word]


def _split(flat: Word, like: list[Word]) -> list[Word]:
    result, start = [], 0
    for word in like:
        result.append(flat[start : start + len(word)])
        start += len(word)
    return result


def _neutral_word(word: Word) -> Word:
    text = "".join(reading.character for reading in word)
    last = word[-1]
    if len(word) == 1:
        particle = text in _PARTICLES and last.base not in {"guo", "zhao", "liao"}
        return [last.with_tone(5)] if particle else word
    if text[0] in _VERBS_DOUBLED and text == text[0] * 2 and last.tone == 3:
        # 想想: the second syllable's third tone works on the first before it is lost.
        return [word[0].with_tone(2), last.with_tone(5)]
    if last.character == "子" and len(word) <= 3:
        return [*word[:-1], last.with_tone(3 if text[-2] in FULL_TZE_AFTER else 5)]
    weak = text in NEUTRAL_ENDING or _doubled_neutral(text) or last.character in "们們"
    if weak or (last.character in _WEAK_SUFFIXES and last.base in {"de", "le", "zhe", "ma", "ne", "ba", "me"}):
        return [*word[:-1], last.with_tone(5)]
    return word


def _doubled_neutral(text: str) -> bool:
    return len(text) == 2 and text[0] == text[1] and (text[0] in _KIN_DOUBLED or text[0] in _VERBS_DOUBLED)


def _one_and_not(flat: Word) -> Word:
    result = list(flat)
    for index in range(len(flat)):
        reading = flat[index]
        before = flat[index - 1] if index else None
        after = flat[index + 1] if index + 1 < len(flat) else None
        if reading.character == "不" and reading.base == "bu":
            result[index] = reading.with_tone(_tone_of_not(before, after))
        elif reading.character == "一" and reading.base == "yi":
            result[index] = reading.with_tone(_tone_of_one(before, after, flat, index))
    return result


def _tone_of_not(before: Reading | None, after: Reading | None) -> int:
    if before and after and before.character == after.character:
        return 5  # 好不好
    return 2 if after and after.tone == 4 else 4


def _tone_of_one(before: Reading | None, after: Reading | None, flat: Word, index: int) -> int:
    if after is None or (before and before.character in _DIGITS | {"第", "初", "点", "十", "周", "期"}):
        return 1
    if before and before.character == after.character and before.character not in _DIGITS | _TENS:
        return 5  # 看一看
    if after.character in _DIGITS or (before and before.character in _TENS and after.character in _TENS):
        return 1
    if (
        after.character in _ORDINAL_AFTER
        and (before is None or before.character in "年月在于到的是")
        and not _counted(flat, index)
    ):
        return 1
    return 2 if after.tone == 4 or after.character == "个" else 4


def _counted(flat: Word, index: int) -> bool:
    """Whether what follows 一 is counted (一等奖 is not, 一日三餐 is)."""
    return "".join(reading.character for reading in flat[index : index + 3]) in {"一日三", "一月之"}


def joined_erhua(word: Word) -> Word:
    """The word with its suffix 儿 joined to the syllable before it."""
    text = "".join(reading.character for reading in word)
    if len(word) < 2 or text[-1] not in "儿兒" or text in FULL_ER or word[-1].base != "er":
        return word
    return [*word[:-2], replace(word[-2], erhua=True)]


def _third_tones(words: list[Word]) -> list[Word]:
    done = [_inside(word) for word in words]
    # From the end: what a word becomes is known before the word that precedes it asks.
    for index in range(len(done) - 2, -1, -1):
        word, following = done[index], done[index + 1]
        if not word or not following or word[-1].tone != 3 or following[0].tone != 3:
            continue
        # Two long words are two feet: each keeps its own melody.
        if len(word) == 1 or len(following) == 1:
            done[index] = _inside([*word[:-1], word[-1].with_tone(2)])
    return done


def _inside(word: Word) -> Word:
    """Third tones in one word: 展览馆 2-2-3, 老古董 3-2-3 (a prefix of one syllable stands alone)."""
    result = list(word)
    start = 1 if len(word) == 3 and word[0].character in "老小纸好很有我你买打" and word[2].tone == 3 else 0
    for index in range(len(word) - 2, start - 1, -1):
        if word[index].tone == 3 and word[index + 1].tone == 3:
            result[index] = word[index].with_tone(2)
    return result
