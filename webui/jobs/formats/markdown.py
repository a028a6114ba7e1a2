"""Markdown: headings, paragraphs and items of lists as rows; code, pictures' addresses and markup are not spoken.

Invariant: blocks are told apart by the beginnings of lines alone, in one pass, so that any text takes linear time.
"""

from __future__ import annotations

import html
import re

from webui.jobs.rows import Reading

#: Silence after a heading, in seconds: longer than between paragraphs, as a reader pauses.
HEADING_GAP_S = 1.0
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])[ \t]*(\1[ \t]*){2,}$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]?)+")
_DEFINITION = re.compile(r" {0,3}\[[^\]]{1,200}\]:[ \t]*\S+")
#: Each pattern's middle excludes what begins it, so that no text makes the search go back over itself.
_INLINE = (
    (re.compile(r"!?\[([^\[\]\n]{0,500})\]\([^()\n]{0,2000}\)"), r"\1"),
    (re.compile(r"\[\^[^\[\]\s]{1,50}\]"), ""),
    (re.compile(r"<(https?://[^<>\s]{1,2000})>"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,500}>"), ""),
    (re.compile(r"(?<![\w_])__(?=[^\s_])([^_\n]{1,2000})__(?![\w_])"), r"\1"),
    (re.compile(r"\*\*(?=[^\s*])([^*\n]{1,2000})\*\*"), r"\1"),
    (re.compile(r"~~(?=[^\s~])([^~\n]{1,2000})~~"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=[^\s_])([^_\n]{1,2000})_(?![\w_])"), r"\1"),
    (re.compile(r"\*(?=[^\s*])([^*\n]{1,2000})\*"), r"\1"),
    (re.compile(r"`{1,3}([^`\n]{1,500})`{1,3}"), r"\1"),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
)


def read_rows(text: str, reading: Reading) -> None:
    """Reads every block."""
    _Blocks(reading).read(_without_comments(text))


def _without_comments(text: str) -> str:
    """The text without HTML's comments; the lines keep their numbers."""
    kept, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        kept += [text[at:begin], "\n" * text.count("\n", begin, end)]
        at = end + 3
    return "".join([*kept, text[at:]])


class _Blocks:
    """Collects lines until a block ends, then gives it as a row."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._lines: list[str] = []
        self._begun = 0

    def read(self, text: str) -> None:
        """Reads the whole text."""
        fence, lines = "", text.split("\n")
        first = _after_front_matter(lines)
        for number, line in enumerate(lines[first:], first + 1):
            mark = _FENCE.match(line)
            if fence:
                fence = "" if mark and mark.group(1).startswith(fence) else fence
            elif mark:
                self._end()
                fence = mark.group(1)
            else:
                self._take(number, line)
        self._end()

    def _take(self, number: int, line: str) -> None:
        quote = _QUOTE.match(line)
        line = line[quote.end() :] if quote else line
        if not line.strip() or _DEFINITION.match(line):
            self._end()
        elif self._lines and _UNDERLINE.match(line):
            self._end(heading=True)
        elif _RULE.match(line):
            self._end()
        elif heading := _HEADING.match(line):
            self._end()
            self._put(number, _without_closing_signs(line[heading.end() :]))
            self._end(heading=True)
        elif line.lstrip().startswith("|"):
            self._end()
            if not _is_table_rule(line):
                self._put(number, ", ".join(cell.strip() for cell in line.strip().strip("|").split("|")))
            self._end()
        elif item := _ITEM.match(line):
            self._end()
            self._put(number, line[item.end() :])
        else:
            self._put(number, line)

    def _put(self, number: int, line: str) -> None:
        self._begun = self._begun if self._lines else number
        self._lines.append(line.strip())

    def _end(self, *, heading: bool = False) -> None:
        text = " ".join(self._lines)
        self._lines.clear()
        for pattern, replacement in _INLINE:
            text = pattern.sub(replacement, text)
        text = html.unescape(text).strip()
        if text and any(character.isalnum() for character in text):
            self._reading.add(self._begun, {"text": text}, gap_s=HEADING_GAP_S if heading else None)


def _without_closing_signs(words: str) -> str:
    """A heading's words without the signs that may close it; those that stand on a word belong to it."""
    kept = words.rstrip(" \t").rstrip("#")
    return kept if kept.endswith((" ", "\t")) else words


def _is_table_rule(line: str) -> bool:
    return "-" in line and not line.strip("|:- \t")


def _after_front_matter(lines: list[str]) -> int:
    if lines and lines[0].strip() in ("---", "+++"):
        for number, line in enumerate(lines[1:200], 1):
            if line.strip() == lines[0].strip():
                return number + 1
    return 0
