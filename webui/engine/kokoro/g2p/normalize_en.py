"""English as it is written -> English as it is said: signs, numbers and abbreviations in words.

Invariants: no digit is left; words are otherwise untouched (capitals matter to the reader of acronyms); every rule
is linear in the text; pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from webui.engine.kokoro.g2p import units
from webui.engine.kokoro.g2p.characters import fold
from webui.engine.kokoro.g2p.numbers_en import cardinal, decade, decimal, digits, ordinal, year
from webui.engine.kokoro.g2p.words_en import ABBREVIATIONS, CURRENCIES, NAMES

Rule = tuple[re.Pattern[str], Callable[["re.Match[str]"], str]]

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_ALONE = r"(?<![\d.,])"
_DASH = r"(?:\s[-–—~]\s|[-–—~])"
_MONTH_NAMES = "January February March April May June July August September October November December"
_MONTHS = _MONTH_NAMES.split()
_MONTH_SHORT = {month[:3]: month for month in _MONTHS} | {"Sept": "September"}
_MONTH = rf"(?:{'|'.join(_MONTHS)}|(?:{'|'.join(_MONTH_SHORT)})\.?)(?![A-Za-z])"


def normalize(text: str) -> str:
    """The text as it is said.

    Args:
        text: English with numbers and signs.
    """
    text = fold(text)
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    return text


def _plain(number: str) -> str:
    return number.replace(",", "")


def _amount(number: str) -> str:
    return decimal(_plain(number))


def _address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0]).rstrip("/.,;:!?")
    rest = match[0][len(match[0].rstrip(".,;:!?")) :]
    text = re.sub(r"\d+", lambda number: f" {cardinal(number[0])} ", text)
    text = re.sub(r"^www\.", "W W W dot ", text)
    for sign, said in (("@", "at"), (".", "dot"), ("/", "slash"), ("-", "dash"), ("_", "underscore"), (":", "colon")):
        text = text.replace(sign, f" {said} ")
    return re.sub(r"[^\w\s]", " ", text) + rest


def _month(name: str) -> str:
    return _MONTH_SHORT.get(name.rstrip("."), name)


def _date(month: int, day: str, year_number: str, original: str) -> str:
    if not (1 <= month <= 12 and 1 <= int(day) <= 31):
        return original
    return f"{_MONTHS[month - 1]} {ordinal(str(int(day)))}, {year(year_number)}"


def _iso_date(match: re.Match[str]) -> str:
    return _date(int(match["month"]), match["day"], match["year"], match[0]) + (", " if match["t"] else "")


def _american_date(match: re.Match[str]) -> str:
    return _date(int(match["month"]), match["day"], match["year"], match[0])


def _month_day(match: re.Match[str]) -> str:
    said = f"{_month(match['month'])} {ordinal(match['day'])}"
    if match["day2"]:
        said += f" to {ordinal(match['day2'])}"
    return said + (f", {year(match['year'])}" if match["year"] else "")


def _day_month(match: re.Match[str]) -> str:
    said = f"the {ordinal(match['day'])} of {_month(match['month'])}"
    return said + (f", {year(match['year'])}" if match["year"] else "")


def _clock(hour: str, minute: str, second: str | None, half: str) -> str:
    said = cardinal(str(int(hour)))
    if int(minute):
        said += f" {f'oh {cardinal(minute[1])}' if minute[0] == '0' else cardinal(minute)}"
    elif second:
        said += " oh oh"
    elif not half:
        said += " o'clock" if 1 <= int(hour) <= 12 else " hundred"
    if second:
        said += f" and {cardinal(str(int(second)))} seconds" if int(second) else ""
    return f"{said} {half}" if half else said


def _time(match: re.Match[str]) -> str:
    half = (match["half"] or "").replace(".", "").upper()
    half = f"{half[0]}.M." if half else ""
    end = match["hour2"]
    first = _clock(match["hour"], match["minute"], match["second"], "" if end else half) if match["minute"] else ""
    if end:
        return f"{first} to {_clock(end, match['minute2'], None, half)}"
    return first


def _hour_only(match: re.Match[str]) -> str:
    first = f"{cardinal(match['first'])} to " if match["first"] else ""
    return f"{first}{cardinal(match['hour'])} {match['half'][0].upper()}.M."


def _telephone(match: re.Match[str]) -> str:
    groups = ", ".join(digits(group, oh=True) for group in re.findall(r"\d+", match[0]))
    return f"plus {groups}" if match[0].startswith("+") else groups


def _room(match: re.Match[str]) -> str:
    rest = digits(match[3], oh=True) if match[3][0] == "0" else cardinal(match[3])
    return f"{match[1]} {cardinal(match[2])} {'hundred' if match[3] == '00' else rest}"


_CURRENCY = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
_SCALES = {
    "k": "thousand",
    "K": "thousand",
    "M": "million",
    "m": "million",
    "B": "billion",
    "bn": "billion",
    "T": "trillion",
}
_SCALE = r"(?:\s?(?P<scale>thousand|million|billion|trillion|k|K|M|m|B|bn|T)(?![A-Za-z0-9]))?"


def _money(match: re.Match[str]) -> str:
    one, many, cent, cents = CURRENCIES[match["sign"]]
    amount, scale = _plain(match["amount"]), match["scale"]
    first = f"{_amount(match['first'])} to " if match["first"] else ""
    if scale:
        return f"{first}{decimal(amount)} {_SCALES.get(scale, scale)} {many}"
    whole, _, fraction = amount.partition(".")
    if fraction and (len(fraction) != 2 or first):
        return f"{first}{decimal(amount)} {many}"
    said = f"{first}{cardinal(whole)} {one if whole == '1' and not first else many}"
    if not int(fraction or 0):
        return said
    small = f"{cardinal(str(int(fraction)))} {cent if int(fraction) == 1 else cents}"
    return small if whole == "0" else f"{said} and {small}"


def _percent(match: re.Match[str]) -> str:
    minus = "minus " if match["minus"] else ""
    first = f"{_amount(match['first'])} to " if match["first"] else ""
    return f"{minus}{first}{_amount(match['number'])} {'percent' if match['sign'] == '%' else 'per mille'}"


def _unit(match: re.Match[str]) -> str:
    one, many = units.ENGLISH[match["unit"]]
    minus = "minus " if match["minus"] else ""
    first = f"{_amount(match['first'])} to " if match["first"] else ""
    joined = match["gap"] == "-"  # "a 5-km run"
    name = one if joined or (match["number"] == "1" and not first) else many
    return f"{minus}{first}{_amount(match['number'])} {name}"


def _version(match: re.Match[str]) -> str:
    parts = match["numbers"].split(".")
    return ("version " if match["letter"] else "") + " point ".join(cardinal(part) for part in parts)


_FRACTIONS = {"2": ("half", "halves"), "4": ("quarter", "quarters")}


def _fraction(match: re.Match[str]) -> str:
    over, under, whole = match["over"], match["under"], match["whole"]
    if int(over) >= int(under) or int(under) > 100 or match[0] == "9/11":
        return f"{cardinal(over)} {cardinal(under)}"  # 24/7
    one, many = _FRACTIONS.get(under, (ordinal(under), f"{ordinal(under)}s"))
    said = f"{'a' if whole and over == '1' else cardinal(over)} {one if over == '1' else many}"
    return f"{cardinal(whole)} and {said}" if whole else said


def _range(match: re.Match[str]) -> str:
    first, second = match[1], match[2]
    if all(re.fullmatch(r"1[1-9]\d\d|20\d\d", number) for number in (first, second)):
        return f"{year(first)} to {year(second)}"
    return f"{_amount(first)} to {_amount(second)}"


_SIGNS = {
    "+": "plus",
    "-": "minus",
    "×": "times",
    "*": "times",
    "x": "times",
    "÷": "divided by",
    "/": "divided by",
    "=": "equals",
}


def _equation(match: re.Match[str]) -> str:
    signs = re.sub(r"\s*([-+×*x÷/=])\s*(?=\d|-\d)", lambda sign: f" {_SIGNS[sign[1]]} ", match[0])
    return re.sub(_NUMBER, lambda number: _amount(number[0]), signs.replace("-", "minus "))


_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}


def _roman(text: str) -> str:
    values = [_ROMAN[letter] for letter in text]
    total = sum(-value if value < max(values[index:]) else value for index, value in enumerate(values))
    return str(total)


def _bare_number(match: re.Match[str]) -> str:
    text = match[0]
    if re.fullmatch(r"19\d\d|20\d\d|1[1-8]\d[1-9]", text):
        return year(text)
    return _amount(text)


def _said(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


# An abbreviation at the end of a sentence gives its point back: "apples, etc." ends with a stop.
_ABBREVIATION = (
    rf"(?<![A-Za-z.])({'|'.join(re.escape(name) for name in sorted(ABBREVIATIONS, key=len, reverse=True))})"
    r"(?![A-Za-z])(\s*$|\s+(?=[A-Z]))?"
)
_ENDS_SENTENCE = frozenset({"etc.", "Inc.", "Ltd.", "Corp.", "Co.", "Jr.", "Sr.", "Ave.", "Blvd.", "Rd."})


def _abbreviation(match: re.Match[str]) -> str:
    said, blank = ABBREVIATIONS[match[1]], match[2] or ""
    at_end = match[2] is not None and match[1] in _ENDS_SENTENCE and not blank.strip()
    return f"{said}.{blank}" if at_end and match.end() == len(match.string) else said + blank


_NAME = rf"(?<![A-Za-z])(?:{'|'.join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True))})(?![A-Za-z])"
_URL = r"(?:https?://|www\.)[\x21-\x7e]+|[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_HOST = (
    r"(?<![\w.@])[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.(?:com|cn|org|net|io|ai|edu|gov|dev)(?![\w-])"
    r"(?:/[\x21-\x7e]*)?"
)
_CUE = r"(?:[Ii]n|[Ss]ince|[Bb]y|[Ff]rom|[Uu]ntil|[Dd]uring|[Yy]ear|[Ee]arly|[Ll]ate|[Aa]round|[Bb]efore|[Aa]fter)"
_HOUR, _MINUTE = r"(?:[01]?\d|2[0-4])", r"[0-5]\d"

_RULES: tuple[Rule, ...] = tuple(
    (re.compile(pattern), replace)
    for pattern, replace in (
        (rf"{_URL}|{_HOST}", _address),
        (r"(?<![\w.])\.(?=\d)", _said("0.")),
        (r"(\d)'\s?(\d{1,2})(?:\"|'')", lambda match: f"{match[1]} foot {match[2]}"),
        (r"(?<=\d)in(?![A-Za-z])", _said(" inches")),
        (r"(?<=[a-z] )St\.(?= [A-Z])", _said("Saint")),
        (r"^St\.(?= [A-Z])", _said("Saint")),
        (r"(?<=[a-z] )St\.", _said("Street")),
        (r"(?<![A-Za-z])p\. ?(?=\d)", _said("page ")),
        (r"(?<![A-Za-z])pp\. ?(?=\d)", _said("pages ")),
        (r"[~～](?=\d)", _said("about ")),
        (r"(?<=\d)\^(?=-?\d)", _said(" to the power of ")),
        (r"(?<=\d)x(?![A-Za-z\d])(?! ?\d)", _said(" times")),
        (_ABBREVIATION, _abbreviation),
        (rf"{_NAME}", lambda match: NAMES[match[0]]),
        # dates and times
        (
            r"(?<![\d.-])(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})(?:(?P<t>T)(?=\d)|(?![\d.-]*\d))",
            _iso_date,
        ),
        (
            r"(?<![\d-])((?:19|20)\d\d)-(0[1-9]|1[0-2])(?![\d-])",
            lambda match: f"{_MONTHS[int(match[2]) - 1]} {year(match[1])}",
        ),
        (r"(?<![\d/])(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?![\d/])", _american_date),
        (
            rf"(?P<month>{_MONTH}) (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:[-–](?P<day2>\d{{1,2}}))?(?![\d:%])"
            r"(?:,? (?P<year>\d{4})(?!\d))?",
            _month_day,
        ),
        (
            rf"(?<![\d.])(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTH})"
            r"(?:,? (?P<year>\d{4})(?!\d))?",
            _day_month,
        ),
        (rf"({_MONTH}),? (\d{{4}})(?!\d)", lambda match: f"{_month(match[1])} {year(match[2])}"),
        (
            rf"(?<![\d.:])(?P<hour>{_HOUR})[:：](?P<minute>{_MINUTE})(?:[:：](?P<second>{_MINUTE}))?(?:\.\d+)?Z?(?![\d:])"
            rf"(?:{_DASH}(?P<hour2>{_HOUR})[:：](?P<minute2>{_MINUTE})(?![\d:]))?(?:\s?(?P<half>[AaPp]\.[Mm]\.|[AaPp][Mm])(?![A-Za-z]))?",
            _time,
        ),
        (
            rf"(?<![\d.:])(?:(?P<first>{_HOUR}){_DASH})?(?P<hour>{_HOUR})\s?(?P<half>[AaPp]\.[Mm]\.|[AaPp][Mm])(?![A-Za-z])",
            _hour_only,
        ),
        (r"(?<![\d.,])'?((?:1[1-9]|20)\d0|[1-9]0)'?s(?![A-Za-z])", lambda match: decade(match[1])),
        # telephones
        (r"(?<![\d.-])\+\d{1,3}(?:[- .]\(?\d{2,5}\)?){2,5}(?!\d)", _telephone),
        (r"(?<![\d.-])(?:1-)?(?:\(\d{3}\) ?|\d{3}[-.])?\d{3}[-.]\d{4}(?![\d-])", _telephone),
        (r"(?<![\d.-])1[3-9]\d\d{4}\d{4}(?![\d.])", _telephone),
        (r"(?<=\.M\.)\s?[-–]\s?(?=[a-z])", _said(" to ")),
        (r"(?<![A-Za-z])([A-Z]{2,}) ?(\d{4})(?![\d,.%])", lambda match: f"{match[1]} {year(match[2])}"),
        (r"([Rr]oom|[Ff]light|[Gg]ate|[Ss]uite|[Hh]ighway|[Rr]oute) (\d)(\d\d)(?!\d)", _room),
        # money, percent, units
        (
            rf"(?P<sign>{_CURRENCY})\s?(?:(?P<first>{_NUMBER})[-–](?:{_CURRENCY})?)?(?P<amount>{_NUMBER}){_SCALE}",
            _money,
        ),
        (
            rf"(?P<first>(?!))?{_ALONE}(?P<amount>{_NUMBER}){_SCALE}\s?(?P<sign>RMB|CNY|USD|EUR|GBP|€|£|¥)(?![A-Za-z\d])",
            _money,
        ),
        (
            rf"(?P<minus>(?<![\w)%])-)?{_ALONE}(?:(?P<first>{_NUMBER})\s?[%‰]?{_DASH})?(?P<number>{_NUMBER})\s?(?P<sign>[%‰])",
            _percent,
        ),
        (
            rf"(?P<minus>(?<![\w)%])-)?{_ALONE}(?:(?P<first>{_NUMBER})\s?(?:{units.pattern(units.ENGLISH)})?{_DASH})?"
            rf"(?P<number>{_NUMBER})(?P<gap>[ -]?)(?P<unit>{units.pattern(units.ENGLISH)})",
            _unit,
        ),
        # arithmetic, names with numbers, years
        (rf"{_ALONE}{_NUMBER}(?:\s?[-+×*x÷/]\s?{_NUMBER})*\s?=\s?-?{_NUMBER}", _equation),
        (rf"{_ALONE}({_NUMBER})\s?[×*x]\s?(?={_NUMBER})", lambda match: f"{_amount(match[1])} by "),
        (rf"{_ALONE}({_NUMBER})(\s?\+\s?)(?={_NUMBER})", lambda match: f"{_amount(match[1])} plus "),
        (r"(?<![A-Za-z\d.])(?P<letter>[Vv])(?:er)?\.?\s?(?P<numbers>\d+(?:\.\d+)*)(?!\d)", _version),
        (r"(?<![\w.])(?P<letter>(?!))?(?P<numbers>\d+(?:\.\d+){2,})(?!\d)", _version),
        (r"(?<![A-Za-z])No\.?\s?(?=\d)|№\s?", _said("number ")),
        (r"#(?=\d)", _said("number ")),
        (rf"(?<![A-Za-z\d.,])({_NUMBER}){_DASH}({_NUMBER})(?![A-Za-z\d-])", _range),
        (r"(?<=\d)-(?=\d)", _said(" ")),
        (rf"({_CUE}) (1[1-9]\d\d|20\d\d)(?![\d,.]\d)", lambda match: f"{match[1]} {year(match[2])}"),
        (r"(?<![\d.,])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)(?![A-Za-z])", lambda match: ordinal(match[1])),
        (r"(?<![\d.:/])(\d+)\s?:\s?(\d+)(?![\d:])", lambda match: f"{cardinal(match[1])} to {cardinal(match[2])}"),
        (r"(?<![\d./])(?:(?P<whole>\d+) )?(?P<over>\d{1,3})/(?P<under>[1-9]\d{0,2})(?![\d/.])", _fraction),
        # Roman numbers after a name or a word that is counted
        (
            r"((?:[Cc]hapter|[Pp]art|[Vv]olume|[Aa]ct|[Ss]cene|[Ss]ection|[Aa]ppendix|[Ww]ar|[Tt]ype|[Pp]hase|[Cc]lass))"
            r" ([IVX]+)\b",
            lambda match: f"{match[1]} {cardinal(_roman(match[2]))}",
        ),
        (
            r"((?:King|Queen|Pope|Louis|Henry|Charles|Edward|George|Elizabeth|James|William|Richard|Philip|Napoleon|Francis|Pius|Paul)"
            r"(?: [A-Z][a-z]+)?) ([IVX]+)\b",
            lambda match: f"{match[1]} the {ordinal(_roman(match[2]))}",
        ),
        # what is left of numbers
        (rf"(?<![\w)])-(?={_NUMBER})", _said("minus ")),
        (r"(?<!\d)\.(?=\d)", _said("0.")),
        (r"([A-Za-z])-?(?=\d)", lambda match: f"{match[1]} "),
        (rf"{_NUMBER}(?=([A-Za-z])?)", lambda match: f"{_bare_number(match)}{' ' if match[1] else ''}"),
        # signs
        (r"\bC#", _said("C sharp")),
        (r"(?<=[A-Za-z])\+\+", _said(" plus plus")),
        (r"(?<=[A-Za-z])\s?&\s?(?=[A-Za-z])", _said(" and ")),
        (r"&", _said(" and ")),
        (r"\+", _said(" plus ")),
        (r"=", _said(" equals ")),
        (r"@", _said(" at ")),
        (r"%", _said(" percent ")),
        (r"≈", _said(" approximately equals ")),
        (r"±", _said(" plus or minus ")),
        (r"≥|>=", _said(" greater than or equal to ")),
        (r"≤|<=", _said(" less than or equal to ")),
        (r"≠", _said(" is not equal to ")),
        (r"√", _said(" square root of ")),
        (r"π", _said(" pi ")),
        (r"²", _said(" squared ")),
        (r"³", _said(" cubed ")),
        (r"°", _said(" degrees ")),
        (r"→|⇒", _said(" to ")),
        (r"×", _said(" times ")),
        (r"÷", _said(" divided by ")),
        (r"(?<=[A-Za-z])/(?=[A-Za-z])", _said(" ")),
        # The letter A, which is no article: alone, in a list, or in the middle of a sentence.
        (r"(?:^|(?<=[A-Za-z,;:] ))A(?=\s*(?:[,;:!?]|$))|(?<=[a-z] )A(?= )", _said("ay")),
    )
)
