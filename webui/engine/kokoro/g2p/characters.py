"""One way to write each sign: what every language's rules start from, and the stops that the voice knows.

Invariants: `fold` keeps line breaks and wide punctuation; `stops` leaves only signs of the voice's vocabulary in the
place of punctuation.
"""

from __future__ import annotations

import re
import unicodedata

# Wide punctuation that keeps its meaning (a wide colon is a stop, a narrow one may be a time).
_KEPT = frozenset("，。！？：；（）［］｛｝～²³")
# Radicals that look like characters, squared units, wide Latin, narrow katakana, ligatures.
_COMPATIBLE = re.compile("[\u2e80-\u2fdf\u3371-\u33df\uff01-\uff5e\uff65-\uff9f\ufb00-\ufb06]")
_SINGLE = {
    "㎡": "m²",
    "㎥": "m³",
    "㎢": "km²",
    "ℓ": "L",
    "µ": "μ",
    "−": "-",
    "‐": "-",
    "‑": "-",
    "﹣": "-",
    "⁄": "/",
    "∕": "/",
    "∶": ":",
    "’": "'",
    "‘": "'",
    "´": "'",
    "`": " ",
    "′": "'",
    "″": '"',
    "℃": "°C",
    "℉": "°F",
    "№": "No.",
    "￥": "¥",
    "ª": "a",
    "º": "°",
}
_PLAIN = re.compile(r"[^\x00-\x7f]")


def fold(text: str) -> str:
    """Wide letters and digits made narrow, one sign for each meaning, other digits made 0 to 9.

    Circled numbers become the number and a comma, vulgar fractions "1/2", Roman number signs digits.
    """
    return _PLAIN.sub(lambda match: _folded(match[0]), text)


def _folded(character: str) -> str:
    if character in _SINGLE:
        return _SINGLE[character]
    if character in _KEPT:
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category in {"No", "Nl"} and not "〇" <= character <= "〩":
        return _folded_number(character)
    return unicodedata.normalize("NFKC", character) if _COMPATIBLE.match(character) else character


def _folded_number(character: str) -> str:
    value = unicodedata.numeric(character)
    if "₀" <= character <= "₉":
        return f"{value:g}"
    if character in "⁰¹⁴⁵⁶⁷⁸⁹":
        return f"^{value:g}"
    decomposed = unicodedata.normalize("NFKC", character).replace("⁄", "/")
    if "/" in decomposed:
        return f" {decomposed}"
    return f" {value:g}，" if unicodedata.category(character) == "No" else f" {value:g}"


_STOPS = str.maketrans(
    {
        "、": ",",
        "，": ",",
        "､": ",",
        "。": ".",
        "｡": ".",
        "．": ".",
        "！": "!",
        "？": "?",
        "؟": "?",
        "：": ":",
        "；": ";",
        "（": " (",
        "）": ") ",
        "［": " (",
        "］": ") ",
        "[": "(",
        "]": ")",
        "〔": "(",
        "〕": ")",
        "《": " “",
        "》": "” ",
        "〈": " “",
        "〉": "” ",
        "「": " “",
        "」": "” ",
        "『": " “",
        "』": "” ",
        "【": " “",
        "】": "” ",
        "“": " “",
        "”": "” ",
        "«": "“",
        "»": "”",
        "„": "“",
        "–": "—",
        "―": "—",
        "‥": "…",
        "⋯": "…",
    }
)
_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi
omega
"""
_GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK_NAMES.split(), strict=True))
_GREEK_LETTER = re.compile(r"(?<![\u0370-\u03ff\u1f00-\u1fff])[\u0391-\u03c9](?![\u0370-\u03ff\u1f00-\u1fff])")
_NO_DECOMPOSITION = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "th", "þ": "th", "Þ": "Th", "ł": "l"}
    | {"Ł": "L", "œ": "oe", "Œ": "Oe", "ı": "i", "ŋ": "ng", "ə": "a"}
)


def paired_quotes(text: str) -> str:
    """Straight double quotes made opening and closing ones; after a digit they are inches unless one is open."""
    is_open = False

    def turned(match: re.Match[str]) -> str:
        nonlocal is_open
        if not is_open and text[match.start() - 1 : match.start()].isdigit():
            return match[0]
        is_open = not is_open
        return "“" if is_open else "”"

    return re.sub('"', turned, text)


def greek_names(text: str) -> str:
    """Greek letters that stand alone, as in formulas, by name."""
    return _GREEK_LETTER.sub(lambda match: f" {_GREEK.get(match[0].lower(), '')} ", text)


def plain_latin(text: str) -> str:
    """Latin letters without accents, everything that is neither ASCII nor punctuation left out."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_NO_DECOMPOSITION))
    return "".join(character for character in decomposed if character.isascii() or character in "“”—…")


def narrow(text: str) -> str:
    """Wide punctuation among letters in the voice's signs; a line break becomes a full stop."""
    text = re.sub(r"(?<![.!?,;:…—\s])\s*\n\s*", ". ", text.translate(_STOPS))
    return re.sub(r"\.{3,}", "…", text)


def stops(text: str) -> str:
    """Punctuation in the voice's signs; every other sign becomes a blank, a line break a full stop.

    Args:
        text: what stands between words, no letters.
    """
    text = text.translate(_STOPS)
    text = re.sub(r"\.{2,}", "…", text)
    text = re.sub(r"\s*\n\s*", ". ", text)
    text = re.sub(r'[^;:,.!?—…"()“”\s]', " ", text)
    text = re.sub(r"([—…!?.,;:])[\s—….,;:]*(?:\1[\s—….,;:]*)*", r"\1 ", text)
    return re.sub(r"\s+", " ", text)
