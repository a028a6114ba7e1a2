"""Text as a person wrote it: made safe, cut into languages and into clauses.

Invariants: needs the standard library only; every function takes time linear in the text; `split_language` and
`split_clauses` lose nothing (the parts joined are the text). What a language does with its numbers and signs is
not decided here but where it is turned into phonemes.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass

from launcher.errors import SpeechError

#: A clause's largest `spoken_length`: about 8 s of speech (30 Chinese syllables at 3.8 a second, 28 English words),
#: above which the memory of the voice's network grows for nothing.
MAX_CLAUSE_LENGTH = 150

_HAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_LATIN = "A-Za-zªºÀ-ÖØ-öø-\u02af\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a"
_DIGIT = "0-9０-９"
_GREEK = "\u0370-\u03ff\u1f00-\u1fff"

HAN = re.compile(f"[{_HAN}]")
KANA = re.compile(f"[{_KANA}]")
LATIN = re.compile(f"[{_LATIN}]")

# Signs drawn as pictures: pictographs, dingbats, keycap, flags, variation selectors.
_EMOJI = re.compile(
    "[\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u2600-\u27bf\u2b00-\u2bff\u20e3\ufe00-\ufe0f\U000e0100-\U000e01ef"
    "\U0001f000-\U0001faff\u3030\u303d\u3297\u3299]+"
)
_LINE_BREAK = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# More marks on one letter than any orthography has; longer runs make normalisation quadratic.
_MAX_COMBINING_RUN = 8
_UNWANTED_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})


@dataclass(frozen=True)
class Run:
    """A stretch of text in one language.

    Attributes:
        text: as written.
        language: ``zh``, ``en`` or ``ja``.
    """

    text: str
    language: str


def clean(text: str, max_chars: int) -> str:
    """The text with everything removed that nobody can say.

    Normalised to NFC; control characters, marks that steer direction or have no width, private and unassigned
    characters, halves of surrogate pairs and emoji are removed; blanks become one space, line breaks stay (a pause).

    Args:
        text: what a person typed, pasted or sent.
        max_chars: the largest number of characters of the result.

    Raises:
        SpeechError: ``empty_text``, ``text_too_long``, ``nothing_to_say`` (signs only) or ``language_unsupported``
            (only scripts that no voice reads).
    """
    if not text.strip():
        raise SpeechError("text is empty.", fix="Type something to say.", param="input", code="empty_text")
    result = _remove_unwanted(text)
    result = re.sub(r"[^\S\n]+", " ", result)
    result = re.sub(r" ?\n ?", "\n", result)
    result = re.sub(r"\n{3,}", "\n\n", result).strip()
    if len(result) > max_chars:
        raise SpeechError(
            f"text has {len(result)} characters, the limit is {max_chars}.",
            fix="Send it in shorter parts, or raise LAUNCHER_MAX_TEXT_CHARS.",
            param="input",
            code="text_too_long",
        )
    require_speakable(result)
    return result


def require_speakable(text: str) -> None:
    """Raises `SpeechError` when the text has nothing that a voice can say; otherwise does nothing."""
    if is_speakable(text):
        return
    if any(character.isalpha() for character in text):
        raise SpeechError(
            "text is in a script that no voice here reads.",
            fix="Write Chinese, English or Japanese.",
            param="input",
            code="language_unsupported",
        )
    raise SpeechError(
        "text holds signs only, nothing that can be spoken.",
        fix="Add a word or a number.",
        param="input",
        code="nothing_to_say",
    )


_SPEAKABLE = re.compile(f"[{_HAN}{_KANA}{_LATIN}{_DIGIT}]")


def is_speakable(text: str) -> bool:
    """Whether there is a character that some language reads: Han, kana, Latin or a digit of any script."""
    return bool(_SPEAKABLE.search(text)) or any(
        unicodedata.category(character)[0] == "N" for character in text if character > "\x7f"
    )


def _remove_unwanted(text: str) -> str:
    # Surrogates that make a pair are one character; a half of a pair becomes U+FFFD and goes below.
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _LINE_BREAK.sub("\n", text).replace("\t", " ")
    text = _EMOJI.sub(_without_picture, text)
    kept: list[str] = []
    marks = 0
    for character in text:
        if "\x20" <= character <= "\x7e" or character == "\n":
            marks = 0
        elif character == "\ufffd" or unicodedata.category(character) in _UNWANTED_CATEGORIES:
            continue
        else:
            marks = marks + 1 if unicodedata.combining(character) else 0
            if marks > _MAX_COMBINING_RUN:
                continue
        kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def _without_picture(match: re.Match[str]) -> str:
    # A variation selector or a keycap belongs to the character before it, which stays.
    return "" if all(c == "\u20e3" or "\ufe00" <= c <= "\ufe0f" or c >= "\U000e0100" for c in match[0]) else " "


# --- languages ---------------------------------------------------------------------------------------------------

# Characters of Chinese that Japanese has not: they make a few kana in a sentence a quotation (「我喜欢の味道」).
_ONLY_CHINESE = re.compile("[们這这吗嗎呢吧没还還说說么麼您怎她哪很啊个對对为]")
_URL = r"(?:https?://|www\.)[\x21-\x7e]+|[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_WORD = f"[{_LATIN}]+(?:['’.&-][{_LATIN}]+)*"
# Words with numbers among them; the bounded repetition keeps the search linear.
_PHRASE = re.compile(
    f"(?P<url>{_URL})|{_WORD}(?:[ ,'’/-]{{1,2}}(?:{_WORD}|[{_DIGIT}$%.,:-]{{1,20}}(?![{_HAN}{_KANA}])))*"
)
_LOWER_WORD = re.compile(r"(?<![A-Za-z])[a-z]{2,}(?![A-Za-z])")
_DIGIT_SEARCH = re.compile(f"[{_DIGIT}]")


def split_language(text: str, language: str = "auto") -> list[Run]:
    """Cuts the text into runs of one language; joined they are the text.

    Kana in a sentence make its Han characters Japanese, unless they are few among characters that only Chinese has.
    Latin letters are English. Digits and signs go with the language around them: in a sentence with Han characters
    they are read in that language, except inside an English phrase of several words.

    Args:
        text: as written.
        language: ``auto``, or the language of the Han characters, digits and signs.
    """
    runs: list[Run] = []
    sentences = _sentences(text)
    languages = [_sentence_language(sentence, language) for sentence in sentences]
    for sentence, own in zip(sentences, _inherit(languages, language), strict=True):
        runs += _sentence_runs(sentence, own)
    return _merge(runs)


def main_language(text: str) -> str:
    """The language that most of the text is in: ``zh``, ``en`` or ``ja``; ``en`` when there are no letters."""
    weights: dict[str, int] = {}
    for run in split_language(text):
        weights[run.language] = weights.get(run.language, 0) + spoken_length(run.text)
    return max(weights, key=lambda name: weights[name]) if weights else "en"


def _inherit(languages: list[str], language: str) -> list[str]:
    """Sentences without letters take the language of the sentence before, the first ones of the one after."""
    fallback = "en" if language == "auto" else language
    previous = next((own for own in languages if own), fallback)
    result = []
    for own in languages:
        previous = own or previous
        result.append(previous)
    return result


def _sentence_language(sentence: str, language: str) -> str:
    kana = len(KANA.findall(sentence))
    han = len(HAN.findall(sentence))
    if kana and not (kana * 4 < han and _ONLY_CHINESE.search(sentence)):
        return "ja"
    if han:
        return "ja" if language == "ja" and not _ONLY_CHINESE.search(sentence) else "zh"
    return "en" if LATIN.search(sentence) else ""


def _sentence_runs(sentence: str, language: str) -> list[Run]:
    if language == "en":
        return [Run(sentence, "en")]
    runs: list[Run] = []
    position = 0
    for start, end in _english_spans(sentence):
        runs += _native_runs(sentence[position:start], language, "en" if runs else "")
        runs.append(Run(sentence[start:end], "en"))
        position = end
    return runs + _native_runs(sentence[position:], language, "en" if runs else "")


def _english_spans(sentence: str) -> list[tuple[int, int]]:
    spans = []
    for match in _PHRASE.finditer(sentence):
        if match["url"]:
            continue
        phrase = match[0]
        if _DIGIT_SEARCH.search(phrase):
            # An English phrase keeps its numbers; "iPhone 15" in a Chinese sentence is read with a Chinese number.
            if len(_LOWER_WORD.findall(phrase)) >= 2:
                spans.append(match.span())
            else:
                spans += [(match.start() + w.start(), match.start() + w.end()) for w in re.finditer(_WORD, phrase)]
        else:
            spans.append(match.span())
    # Letters at a number ("24 GB", "v2.5", "MP3") are read by the number's language, which knows units.
    return [(start, end) for start, end in spans if not _beside_number(sentence, start, end)]


def _beside_number(sentence: str, start: int, end: int) -> bool:
    before = sentence[max(0, start - 2) : start]
    after = sentence[end : end + 1]
    return bool(
        re.search(rf"[{_DIGIT}]\s?$|[°$€£¥￥#@_/\\]$", before)
        or (end - start <= 12 and re.match(rf"[{_DIGIT}_/\\+#@$°²³]", after))
    )


def _native_runs(text: str, language: str, before: str) -> list[Run]:
    """What stands between English words; signs alone go with the language ``before``."""
    if language == "zh" and KANA.search(text):
        parts = re.split(f"([{_KANA}]+)", text)
        return [Run(part, "ja" if KANA.match(part) else "zh") for part in parts]
    return [Run(text, language if is_speakable(text) else before or language)]


def _merge(runs: list[Run]) -> list[Run]:
    """Neighbours of one language made one, empty runs left out."""
    merged = []
    for language, group in itertools.groupby((run for run in runs if run.text), key=lambda run: run.language):
        merged.append(Run("".join(run.text for run in group), language))
    return merged


# --- clauses -----------------------------------------------------------------------------------------------------

_CLOSERS = "\"'”’»』」】）〉》］｝)\\]}"
_STOP = re.compile(rf"(?:[。！？；，、…‥｡､⋯؟]|——|—|：|[.!?;:,]|\n)(?:[。！？；，、…‥｡､⋯؟—：.!?;:,]*[{_CLOSERS}]*)\s*")
_SENTENCE_END = re.compile(r"[。！？!?｡\n.]")
_WIDE_STOP = re.compile("[。！？；，、…‥｡､⋯؟—：\n]")
_CJK = re.compile(f"[{_HAN}{_KANA}]")
_ABBREVIATION = re.compile(
    r"(?:^|[^A-Za-z.])(?:[A-Za-z]|(?:[A-Za-z]\.)+[A-Za-z]|Mrs?|Ms|Drs?|Prof|St|Sr|Jr|vs|etc|cf|al|Inc|Ltd|Co|Corp|No|Nos|"
    r"Gen|Col|Sgt|Capt|Lt|Rev|Hon|Gov|Sen|Rep|Mt|Ft|Fig|Eq|Vol|Ed|pp?|approx|est|dept|Jan|Feb|Mar|Apr|Jun|Jul|Aug|"
    r"Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thu|Fri|Sat|Ph\.D)$"
)
_LIST_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,3}$")


def split_clauses(text: str, max_length: int = MAX_CLAUSE_LENGTH) -> list[str]:
    """Cuts the text after sentence ends and clause punctuation; joined the parts are the text.

    Not cut: decimals, numbers with commas, times, addresses, abbreviations. What follows a stop (closing quotes,
    blanks) stays with it. A piece with nothing to say in it is joined to the one before. A piece above ``max_length``
    is cut at a blank, else between two characters.

    Args:
        text: as written.
        max_length: bound on the `spoken_length` of every part; at least 10.

    Returns:
        The parts; an empty list for the empty text.
    """
    parts: list[list[str]] = []
    mergeable = True  # the last part has nothing to say yet
    for piece in _cut(text, sentences_only=False):
        speakable = is_speakable(piece)
        if parts and (mergeable or not speakable):
            parts[-1].append(piece)
            mergeable = mergeable and not speakable
        else:
            parts.append([piece])
            mergeable = not speakable
    return [short for part in parts for short in _bounded("".join(part), max_length)]


def spoken_length(text: str) -> int:
    """How long the text takes to say, in English letters: Han, kana and digits count 5, letters 1."""
    return sum(map(_character_length, text))


def _character_length(character: str) -> int:
    if character.isascii():
        return 5 if character.isdigit() else int(character.isalpha())
    return 5 if _CJK.match(character) or unicodedata.category(character)[0] == "N" else int(character.isalpha())


def _sentences(text: str) -> list[str]:
    return list(_cut(text, sentences_only=True))


def _cut(text: str, *, sentences_only: bool) -> list[str]:
    parts = []
    start = 0
    for match in _STOP.finditer(text):
        if sentences_only and not _SENTENCE_END.search(match[0]):
            continue
        if match.end() < len(text) and _is_stop(text, match):
            parts.append(text[start : match.end()])
            start = match.end()
    if start < len(text):
        parts.append(text[start:])
    return parts


def _is_stop(text: str, match: re.Match[str]) -> bool:
    mark = match[0]
    before = text[max(0, match.start() - 12) : match.start()]
    after = text[match.end() : match.end() + 1]
    if "\n" in mark:
        return True
    if mark in {"：", "，"} and before[-1:].isdigit() and after.isdigit():
        return mark == "，"
    if _WIDE_STOP.search(mark):
        return True
    cut_here = mark[-1:].isspace() or bool(_CJK.match(after)) or (mark[0] != "." and bool(_CJK.match(before[-1:])))
    if not cut_here:
        return False
    if mark[0] == "." and not mark.startswith(".."):
        return not (
            _ABBREVIATION.search(before) or _LIST_NUMBER.search(text[max(0, match.start() - 6) : match.start()])
        )
    return True


def _bounded(part: str, max_length: int) -> list[str]:
    """Cuts a part so that every piece has a `spoken_length` of at most ``max_length``."""
    pieces = []
    start = length = 0
    blank = -1  # where the piece may end: after its last blank that follows something spoken
    for index, character in enumerate(part):
        length += _character_length(character)
        if length > max_length:
            cut = blank if blank > start else index
            pieces.append(part[start:cut])
            start, blank, length = cut, -1, spoken_length(part[cut : index + 1])
            if length > max_length:
                pieces.append(part[start:index])
                start, length = index, _character_length(character)
        if length and character.isspace():
            blank = index + 1
    pieces.append(part[start:])
    return pieces
