"""Subtitles, SRT and WebVTT: what is said, and from when to when."""

from __future__ import annotations

import html
import re

from webui.jobs.rows import Reading

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(\s.*)?$")
#: WebVTT's blocks that are not spoken (W3C WebVTT, section 4.1).
_SILENT = ("NOTE", "STYLE", "REGION", "WEBVTT")
_MARKUP = re.compile(r"</?[a-zA-Z0-9][^<>\n]{0,200}>|\{\\[^{}\n]{0,200}\}")
_HAN_OR_KANA = re.compile("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def is_timing(line: str) -> bool:
    """Whether a line says from when to when."""
    return _TIMING.match(line) is not None


def read_rows(text: str, reading: Reading) -> None:
    """Reads every block between empty lines; the rows are in the order of their times."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        end = next((n for n in range(at, len(lines)) if not lines[n].strip()), len(lines))
        _read_block(at, lines[at:end], reading)
        at = end
    reading.rows.sort(key=lambda row: row.start_s or 0.0)


def _read_block(first: int, block: list[str], reading: Reading) -> None:
    if block[0].split(" ")[0].strip("\ufeff\t") in _SILENT and not any(is_timing(line) for line in block):
        return
    # A block that lacks its empty line runs into the next one: every timing begins a row.
    starts = [n for n, line in enumerate(block) if is_timing(line)]
    if not starts:
        reading.wrong(first + 1, "This block has no times.", "Write 00:00:01,000 --> 00:00:04,000 above its text.")
        return
    for start, following in zip(starts, [*starts[1:], len(block)], strict=True):
        words = block[start + 1 : following]
        if following != len(block) and words and re.fullmatch(r"\s*\d+\s*", words[-1]):
            words = words[:-1]  # the next row's number
        found = _TIMING.match(block[start])
        assert found is not None
        begin_s, end_s = _seconds(found.groups()[:4]), _seconds(found.groups()[4:8])
        text = _join([html.unescape(_MARKUP.sub("", line)).strip() for line in words])
        reading.add(first + start + 1, {"text": text}, start_s=begin_s, end_s=end_s)


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def _join(lines: list[str]) -> str:
    """A row's lines as one; where a Chinese line goes on in Chinese there is no blank."""
    text = ""
    for line in filter(None, lines):
        both = text and _HAN_OR_KANA.match(text[-1]) and _HAN_OR_KANA.match(line)
        text += line if both or not text else f" {line}"
    return text
