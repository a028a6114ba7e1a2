"""Whole numbers, decimals, ordinals and years in English words.

Invariants: pure; every string of digits has a reading (digit by digit beyond the named scales); no commas are made,
because a comma is a pause.
"""

from __future__ import annotations

_ONES_TEXT = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
"""
_TENS_TEXT = "twenty thirty forty fifty sixty seventy eighty ninety"
_SCALES_TEXT = "thousand million billion trillion quadrillion"
_ONES = _ONES_TEXT.split()
_TENS = ["", "", *_TENS_TEXT.split()]
_SCALES = ["", *_SCALES_TEXT.split()]
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def digits(text: str, *, oh: bool = False) -> str:
    """The digits one by one, 0 as "oh" where people say so; other characters are left out."""
    words = [_ONES[int(character)] for character in text if character.isdigit()]
    return " ".join("oh" if oh and word == "zero" else word for word in words)


def cardinal(number: str) -> str:
    """A whole number (``1,234`` or ``1234``); digit by digit when it starts with 0 or has no name."""
    plain = number.replace(",", "")
    if (len(plain) > 1 and plain[0] == "0") or len(plain) > 3 * len(_SCALES):
        return digits(plain)
    return _named(int(plain))


def _named(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    if value < 1000:
        hundreds, rest = divmod(value, 100)
        return f"{_ONES[hundreds]} hundred" + (f" {_named(rest)}" if rest else "")
    scale = (len(str(value)) - 1) // 3
    head, rest = divmod(value, 1000**scale)
    return f"{_named(head)} {_SCALES[scale]}" + (f" {_named(rest)}" if rest else "")


def decimal(number: str) -> str:
    """A number with or without a decimal point: ``3.14`` is three point one four."""
    whole, point, fraction = number.partition(".")
    said = cardinal(whole) if whole else "zero"
    return f"{said} point {digits(fraction)}" if point and fraction else said


def ordinal(number: str) -> str:
    """A whole number as a rank: 21 is twenty-first."""
    words = cardinal(number)
    head, sign, last = words.rpartition("-")
    if not sign:
        head, sign, last = words.rpartition(" ")
    if last in _ORDINALS:
        return f"{head}{sign}{_ORDINALS[last]}"
    return f"{head}{sign}{last[:-1]}ieth" if last.endswith("y") else f"{head}{sign}{last}th"


def year(number: str) -> str:
    """A year of four digits: 1999 is nineteen ninety-nine, 2005 two thousand five, 1900 nineteen hundred."""
    value = int(number)
    high, low = divmod(value, 100)
    if len(number) != 4 or value % 1000 < 10:
        return cardinal(number)
    if low == 0:
        return f"{_named(high)} hundred"
    return f"{_named(high)} {f'oh {_ONES[low]}' if low < 10 else _named(low)}"


def decade(number: str) -> str:
    """A decade: 1990 is nineteen nineties, 80 eighties, 2000 two thousands."""
    words = year(number) if len(number) == 4 else cardinal(number)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"
