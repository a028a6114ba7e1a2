"""Chinese as it is written -> Chinese as it is said: signs and numbers in Han characters.

Rules of our own turn what the grammar of `wetext` reads wrongly or not at all (phones, ISO dates, scores, ranges,
units, addresses, versions) into plain numbers with words; the grammar then reads the numbers, a few characters at a
time.

Invariants: no digit is left; Latin letters pass through untouched and are never shown to the grammar; every rule is
linear in the text; importing this loads no grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from webui.engine.kokoro.g2p import units
from webui.engine.kokoro.g2p.characters import fold

#: Reads plain numbers among Han characters: the grammar's function, or another in a test.
ReadNumbers = Callable[[str], str]
Rule = tuple[re.Pattern[str], Callable[["re.Match[str]"], str]]

_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\u3007\U00020000-\U0003ffff"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_N = rf"(?:{_NUMBER})"
_DASH = r"(?:\s[-~～–—〜]\s|[-~～–—〜]|\s?[至到]\s?)"
_ALONE = r"(?<![\d.])"
_MEASURE = re.compile(
    r"[个位名人只条张件台辆次天岁元块角斤克米吨升度秒分点号层楼届章页本万亿千百倍家间部套种组年月日周期字]|公|小时|美|欧|英|日元|平方|立方"
)


def normalize(text: str, read_numbers: ReadNumbers) -> str:
    """The text as it is said.

    Args:
        text: Chinese with numbers and signs, perhaps Latin letters.
        read_numbers: reads plain numbers among Han characters.
    """
    text = fold(text)
    for pattern, replace in _RULES:
        text = pattern.sub(replace, text)
    text = _DECIMAL.sub(lambda match: _decimal(match[1], match[2], read_numbers), text)
    text = _WINDOW.sub(lambda match: read_numbers(match[0]), text)
    return re.sub(r"\d", lambda match: _DIGITS[match[0]], text)


# A number with the characters that decide how it is read: measure words after it, an ordinal sign before it.
_WINDOW = re.compile(rf"[{_HAN}]{{0,2}}\d+[{_HAN}]{{0,4}}")


_DECIMAL = re.compile(r"(\d+)\.(\d+)")


def _decimal(whole: str, fraction: str, read_numbers: ReadNumbers) -> str:
    """A decimal; the grammar takes some for dates, and some whole numbers alone for telephones."""
    said = digits(whole) if len(whole) == 1 else read_numbers(f"{whole}元").removesuffix("元")
    return f"{said}点{digits(fraction)}"


def digits(text: str, *, telephone: bool = False) -> str:
    """The digits one by one; on the telephone 1 is said 幺. Other characters are left out."""
    said = "".join(_DIGITS[character] for character in text if character in _DIGITS)
    return said.replace("一", "幺") if telephone else said


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    if len(groups) == 1 and len(groups[0]) == 11 and groups[0][0] == "1":
        number = groups[0]
        groups = [number[:3], number[3:7], number[7:]]
    prefix = "加" if match[0].startswith("+") else ""
    return prefix + "，".join(digits(group, telephone=True) for group in groups)


def _address(match: re.Match[str]) -> str:
    text = re.sub(r"^https?://", "", match[0]).rstrip("/.,;:!?")
    rest = match[0][len(match[0].rstrip(".,;:!?")) :]
    text = re.sub(r"\d", lambda digit: _DIGITS[digit[0]], text)
    for sign, said in (("@", "艾特"), (".", "点"), ("/", "斜杠"), ("-", "杠"), ("_", "下划线"), (":", "冒号")):
        text = text.replace(sign, f" {said} ")
    return re.sub(r"[^\w\s]", " ", text) + rest


def _date(match: re.Match[str]) -> str:
    year, month, day = match["year"], int(match["month"]), int(match["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{digits(year)}年{month}月{day}日" + (" " if match["t"] else "")


def _clock(hour: str, minute: str, second: str | None) -> str:
    said = f"{'2点' if int(hour) == 2 else f'{int(hour)}点'}"
    said = said.replace("2点", "两点") if int(hour) == 2 else said
    if int(minute) or second:
        said += f"零{int(minute)}分" if 0 < int(minute) < 10 else f"{int(minute)}分"
    if second:
        said += f"零{int(second)}秒" if 0 < int(second) < 10 else f"{int(second)}秒"
    return said


_PART_OF_DAY = {"am": "上午", "pm": "下午"}


def _time(match: re.Match[str]) -> str:
    half = (match["half"] or "").replace(".", "").lower()
    said = _PART_OF_DAY.get(half, "") + _clock(match["hour"], match["minute"], match["second"])
    if match["hour2"]:
        said += "到" + _clock(match["hour2"], match["minute2"], None)
    return said


def _plain(number: str) -> str:
    return number.replace(",", "")


def _percent(match: re.Match[str]) -> str:
    name = "千分之" if match["sign"] == "‰" else "百分之"
    minus = "负" if match["minus"] else ""
    first = f"{minus}{name}{_plain(match['first'])}"
    return f"{first}到{name}{_plain(match['second'])}" if match["second"] else first


_CURRENCIES = {
    "¥": "元",
    "$": "美元",
    "US$": "美元",
    "HK$": "港元",
    "NT$": "新台币",
    "€": "欧元",
    "£": "英镑",
    "₩": "韩元",
    "RMB": "元",
    "CNY": "元",
    "USD": "美元",
    "EUR": "欧元",
    "GBP": "英镑",
    "JPY": "日元",
    "HKD": "港元",
}
_CURRENCY = "|".join(re.escape(sign) for sign in sorted(_CURRENCIES, key=len, reverse=True))


def _money(match: re.Match[str]) -> str:
    amount = _plain(match["amount"])
    if re.search(r"\.\d\d?$", amount):
        amount = re.sub(r"\.?0+$", "", amount)
    currency = _CURRENCIES[match["sign"]]
    first, scale = match["first"], match["scale"] or ""
    if amount == "2" and not scale and not first:
        amount = "两"
    return (f"{_plain(first)}到" if first else "") + f"{amount}{scale}{currency}"


def _unit(match: re.Match[str]) -> str:
    sign = match["unit"]
    said = units.CHINESE[sign]
    number, minus = _plain(match["number"]), match["minus"]
    if minus:
        minus = "零下" if "度" in said else "负"
    if number == "2" and "度" not in said and not match["first"]:
        number = "两"
    first = f"{_plain(match['first'])}到" if match["first"] else ""
    return f"{minus or ''}{first}{number}{said}"


def _version(match: re.Match[str]) -> str:
    parts = match["numbers"].split(".")
    single = match["letter"] is None and len(parts) == 4 and any(len(part) > 1 for part in parts)
    said = "点".join(digits(part) if single or len(part) > 2 or part[0] == "0" else f"{part}" for part in parts)
    return f"{match['letter'].upper()} {said}" if match["letter"] else said


_AFTER_OPERAND = frozenset("加减乘除等到比又")
_SIGNS = {
    "+": "加",
    "-": "减",
    "−": "减",
    "×": "乘",
    "*": "乘",
    "x": "乘",
    "X": "乘",
    "÷": "除以",
    "/": "除以",
    "=": "等于",
}


def _equation(match: re.Match[str]) -> str:
    return re.sub(r"\s*([-+×*xX÷/=])\s*", lambda sign: _SIGNS[sign[1]], match[0])


def _between(said: str) -> Callable[[re.Match[str]], str]:
    return lambda match: f"{match[1]}{said}{match[2]}"


def _range(match: re.Match[str]) -> str:
    first, second = _plain(match[1]), _plain(match[2])
    if re.fullmatch(r"(?:1[1-9]|20)\d\d", first) and re.fullmatch(r"(?:1[1-9]|20)\d\d", second):
        return f"{digits(first)}到{digits(second)}"
    ordinal = match.string[max(0, match.start() - 1) : match.start()] == "第"
    if first == "2" and not ordinal and _MEASURE.match(match.string, match.end()):
        first = "两"
    return f"{first}到{second}"


def _year(match: re.Match[str]) -> str:
    return digits(match[1]) + match[2]


def _bare_year(match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 2].lstrip()
    counted = _MEASURE.match(following) or following[:1] in _AFTER_OPERAND
    return match[0] if counted else digits(match[0])


def _fraction(match: re.Match[str]) -> str:
    whole, over, under = match["whole"], match["over"], match["under"]
    if int(over) > int(under):
        return f"{match[0].replace('/', ' ')}"
    under = "二" if under == "2" else under
    return (f"{whole}又" if whole else "") + f"{under}分之{over}"


def _long_number(match: re.Match[str]) -> str:
    following = match.string[match.end() : match.end() + 2]
    return match[0] if _MEASURE.match(following) and match[0][0] != "0" else digits(match[0])


def _spoken(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text


_URL = r"(?:https?://|www\.)[\x21-\x7e]+|[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
_BARE_HOST = (
    r"(?<![A-Za-z0-9.@])[A-Za-z][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)*\.(?:com|cn|org|net|io|ai|edu|gov|dev)"
    r"(?![A-Za-z0-9.])(?:/[\x21-\x7e]*)?"
)
_HOUR = r"(?:[01]?\d|2[0-4])"
_MINUTE = r"[0-5]\d"
_SCORE_WORDS = r"(?:比分|比例|比率|以|战胜|击败|不敌|负于|战平|取胜|完胜|大胜|险胜|按|成)"

_RULES: tuple[Rule, ...] = tuple(
    (re.compile(pattern), replace)
    for pattern, replace in (
        (rf"{_URL}|{_BARE_HOST}", _address),
        # dates and times
        (
            r"(?<![\d.-])(?P<year>\d{4})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})(?:(?P<t>T)(?=\d)|(?![\d.-]*\d))",
            _date,
        ),
        (
            r"((?:比分|比例|比率|战胜|击败|不敌|负于|战平|胜|以|按|成)[^\d，。；]{0,6}?)(\d{1,3})\s?[:：-]\s?(\d{1,3})(?!\d)",
            lambda match: f"{match[1]}{match[2]}比{match[3]}",
        ),
        (
            r"(?<![\d.])(\d{1,3})\s?[:：-]\s?(\d{1,3})(?=(?:的比分|的比例|获胜|取胜|战胜|击败|大胜|险胜|领先|落后))",
            _between("比"),
        ),
        (
            rf"(?<![\d.:])(?P<hour>{_HOUR})[:：](?P<minute>{_MINUTE})(?:[:：](?P<second>{_MINUTE}))?(?:\.\d+)?Z?(?![\d:])"
            rf"(?:{_DASH}(?P<hour2>{_HOUR})[:：](?P<minute2>{_MINUTE})(?![\d:]))?(?:\s?(?P<half>[AaPp]\.?[Mm]\.?)(?![A-Za-z]))?",
            _time,
        ),
        (
            r"(?<![\d/.])(0?[1-9]|1[0-2])/([12]\d|3[01]|0?[1-9])(?=前|日|之前|截止|上午|下午|晚|早|[ (（]?(?:周|星期))",
            lambda match: f"{int(match[1])}月{int(match[2])}日",
        ),
        (r"(?<![\d-])((?:19|20)\d\d)-(0[1-9]|1[0-2])(?![\d-])", lambda match: f"{digits(match[1])}年{int(match[2])}月"),
        (r"第(\d+)/(\d+)(页|章|集|题|步)", lambda match: f"第{match[1]}{match[3]}，共{match[2]}{match[3]}"),
        (r"(?<!\d)((?:19|20)\d0)s(?![A-Za-z])", lambda match: f"{match[1]}年代"),
        # telephones and codes
        (r"(?<![\d.])(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?)\d{4}(?:[- ]?)\d{4}(?![\d.])", _telephone),
        (r"(?<![\d.-])\+\d{1,3}(?:[- ]\d{2,5}){2,5}(?!\d)", _telephone),
        (r"(?<![\d.-])(?:0\d{2,3}|[48]00)[- ]\d{3,4}[- ]?\d{4}(?![\d-])", _telephone),
        (r"(?<![\d.-])(?:\d{3}-)?\d{3}-\d{4}(?![\d-])", _telephone),
        (
            r"(?:(?<=拨打)|(?<=致电)|(?<=热线)|(?<=电话)|(?<=号码)|(?<=密码)|(?<=验证码)|(?<=尾号)|(?<=编号)|(?<=房间)|(?<=房间号)|(?<=单号)|"
            r"(?<=账号)|(?<=QQ)|(?<=QQ号)|(?<=微信号)|(?<=ID)|(?<=卡号)|(?<=学号)|(?<=拨)|(?<=代码)|(?<=邮编))([是为：:]?\s?)(\d{3,})(?![\d.])",
            lambda match: match[1] + digits(match[2], telephone=True),
        ),
        (r"(?<!\d)(\d{3,4})(?=房|号房|室)", lambda match: digits(match[1], telephone=True)),
        # money, percent, units
        (
            rf"(?P<sign>{_CURRENCY})\s?(?:(?P<first>{_NUMBER})[-~～–—](?:{_CURRENCY})?)?(?P<amount>{_NUMBER})(?P<scale>[万亿千百]{{0,2}})"
            r"(?:(?<=[^万亿千百])(?=\D|$)|(?<=[万亿千百]))(?:元|块|美元|欧元)?",
            _money,
        ),
        (
            rf"(?:(?P<first>){_ALONE})(?P<amount>{_NUMBER})\s?(?P<scale>[万亿]?)\s?(?P<sign>RMB|CNY|USD|EUR|GBP|JPY|HKD|€|£|¥|\$)(?![A-Za-z\d])",
            _money,
        ),
        (
            rf"(?P<minus>(?<![\w)%])[-])?{_ALONE}(?P<first>{_NUMBER})\s?[%‰]?(?:{_DASH}(?P<second>{_NUMBER})\s?)?(?P<sign>[%‰])",
            _percent,
        ),
        (
            rf"(?P<minus>(?<![\w)%])[-])?{_ALONE}(?:(?P<first>{_NUMBER})\s?(?:{units.pattern(units.CHINESE)})?{_DASH})?"
            rf"(?P<number>{_NUMBER})\s?(?P<unit>{units.pattern(units.CHINESE)})",
            _unit,
        ),
        (rf"{_ALONE}{_N}(?:\s?[-+×*xX÷/]\s?{_N})*\s?=\s?-?{_N}", _equation),
        (rf"{_ALONE}({_N})\s?[×*xX]\s?(?={_N})", lambda match: f"{match[1]}乘"),
        (
            rf"(?<=[元块次个人台件万])/(?P<unit>{units.pattern(units.CHINESE)})",
            lambda match: f"每{units.CHINESE[match['unit']]}",
        ),
        (rf"(?<=[元块次个])/(?=[{_HAN}])", _spoken("每")),
        (r"(\d+)\^(-?\d+)", lambda match: f"{match[1]}的{match[2]}次方"),
        # names with numbers
        (r"(?<![A-Za-z\d.])(?P<letter>[Vv])(?:er)?\.?\s?(?P<numbers>\d+(?:\.\d+)*)(?![\d])", _version),
        (r"(?<![\w.])(?P<letter>(?!))?(?P<numbers>\d+(?:\.\d+){2,})(?![\d])|(?!)", _version),
        (r"(?<![A-Za-z])[Nn]o\.?\s?(\d+)", lambda match: f"第{match[1]}"),
        (r"#\s?(\d+)", lambda match: f"{match[1]}号"),
        (
            r"([A-Za-z][-_]?)(\d{3,})(?![\d.,])",
            lambda match: match[1].rstrip("-_") + " " + digits(match[2], telephone=True),
        ),
        (
            r"(?<![A-Za-z])([A-Z]{2,}) (\d{4})(?![\d.,])(?! ?[个元人块万亿年月日多余])",
            lambda match: match[1] + " " + digits(match[2]),
        ),
        # years
        (
            r"(?<!\d)([12]\d{3})(?:[-~～–—]|至|到)([12]\d{3})(?=年)",
            lambda match: f"{digits(match[1])}到{digits(match[2])}",
        ),
        (r"(?<!\d)((?:1[1-9]|20)\d\d|0\d)(年(?!前|来|以|的历))", _year),
        (r"(?<!\d)([6-9]\d)(年(?=[春夏秋冬初底末生毕版款]|\d{1,2}月))", _year),
        (r"(?<!\d)([05-9]0)(后)", _year),
        # arithmetic, scores, fractions, ranges
        (rf"{_ALONE}({_N})\s?[+]\s?({_N})", _between("加")),
        (rf"({_N})\s?÷\s?({_N})", _between("除以")),
        (r"(?<=\d)\s?[:：]\s?(?=\d)", _spoken("比")),
        (r"(?<![\d./])(?:(?P<whole>\d+) )?(?P<over>\d{1,3})/(?P<under>\d{1,3})(?![\d/.])", _fraction),
        (rf"(?<![A-Za-z\d.])({_N}){_DASH}({_N})(?![\d-])", _range),
        (r"[~～](?=\d)", _spoken("约")),
        (rf"(?<![\w)）])-(?={_N})", _spoken("负")),
        # what is left of numbers
        (r"(?<=\d),(?=\d{3}(?!\d))", _spoken("")),
        (r"(?<![\d.])(?:1[89]|20)\d\d(?![\d.,])(?=[^\d年])", _bare_year),
        (r"(?<![\d.])(?:\d{9,}|0\d+)(?![\d.])", _long_number),
        (r"(?<!\d)\.(?=\d)", _spoken("0.")),
        (rf"(?<=\d) (?=[{_HAN}])|(?<=[{_HAN}]) (?=\d)", _spoken("")),
        # signs
        (r"±", _spoken("正负")),
        (r"≈", _spoken("约等于")),
        (r"≥|>=", _spoken("大于等于")),
        (r"≤|<=", _spoken("小于等于")),
        (r"≠|!=", _spoken("不等于")),
        (r"(?<=\d)\s?>\s?(?=\d)", _spoken("大于")),
        (r"(?<=\d)\s?<\s?(?=\d)", _spoken("小于")),
        (r"√", _spoken("根号")),
        (r"π", _spoken("派")),
        (r"(?<=[A-Za-z\d])²", _spoken("的平方")),
        (r"(?<=[A-Za-z\d])³", _spoken("的立方")),
        (r"(?<=[A-Za-z])\+\+", _spoken("加加")),
        (r"(?<=[A-Za-z])#", _spoken(" sharp ")),
        (r"(?<=[\w)])\s?=\s?(?=[\w(])", _spoken("等于")),
        (r"(?<=[\w)])\+", _spoken("加")),
        (r"\+(?=\d)", _spoken("加")),
        (r"(?<=[A-Za-z])&(?=[A-Za-z])", _spoken(" and ")),
        (r"&", _spoken("和")),
        (r"(?<![\d.])2(?=点(?!\d))", _spoken("两")),
        (r"@", _spoken("艾特")),
        (r"×", _spoken("乘")),
        (r"→|⇒", _spoken("到")),
        (r"(?<=\d)°", _spoken("度")),
        (r"(?<=[A-Za-z])-(?=\d)", _spoken(" ")),
        (r"(?<=\d)[-/](?=\d)", _spoken(" ")),
    )
)
