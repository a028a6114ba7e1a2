"""What a job is made of: rows, and what was wrong with a file's other lines.

Invariants: a row that exists can be spoken as far as anybody can tell without an engine; what cannot names its line and
the way out, and never keeps the right ones from being used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.errors import SpeechError
from webui.engine.base import SpeechRequest
from webui.markup import parse
from webui.text import clean

#: Most rows of one job: a novel has about 10,000 sentences, and a list of them is paged.
MAX_ROWS = 5_000
#: Most problems that are told one by one; the rest is a number.
MAX_PROBLEMS = 100
#: Longest file name that is made of a row's own, in characters; with a number before it every file system takes it.
MAX_NAME_CHARS = 80
#: Longest silence after a row, and latest end of a subtitle, in seconds.
MAX_GAP_S, MAX_END_S = 60.0, 86_400.0

#: Not allowed in a file name on one system or another, and lone halves of surrogate pairs.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]+')
#: Names that Windows gives to devices.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_ENDING = re.compile(r"\.(wav|mp3|flac|opus|ogg|pcm|m4a|aac)$", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """One thing to say.

    Attributes:
        line: where it stands in its file, from 1.
        fields: a `SpeechRequest`'s object with what was given and nothing else; the text is clean.
        name: of its file, without ending; empty when it was given none.
        start_s, end_s: when it should be heard, for subtitles.
        gap_s: silence after it where rows are joined; ``None`` leaves it to the job.
    """

    line: int
    fields: Mapping[str, Any]
    name: str = ""
    start_s: float | None = None
    end_s: float | None = None
    gap_s: float | None = None


@dataclass(frozen=True)
class Problem:
    """A line that gave no row, or that lost something on the way.

    Attributes:
        line: from 1; 0 for the file as a whole.
        message: one sentence: what is wrong.
        fix: one sentence: what to do.
    """

    line: int
    message: str
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        return {"line": self.line, "message": self.message, "fix": self.fix}


@dataclass
class Reading:
    """What a file gave.

    Attributes:
        kind: ``jsonl``, ``csv``, ``txt``, ``markdown``, ``srt`` or ``vtt``.
        rows: the right ones, in order.
        problems: the first `MAX_PROBLEMS` of them.
        problem_count: all of them.
    """

    kind: str
    max_text_chars: int
    defaults: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    def add(self, line: int, values: Mapping[str, Any], **timing: Any) -> None:
        """Takes a line's fields as a row, or says what is wrong with them."""
        if len(self.rows) >= MAX_ROWS:
            raise TooManyRowsError
        try:
            row = make_row(line, {**self.defaults, **values}, self.max_text_chars, **timing)
        except SpeechError as error:
            self.wrong(line, error.message, error.fix)
        else:
            self.rows.append(row)

    def wrong(self, line: int, message: str, fix: str = "") -> None:
        """Notes what is wrong with a line."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line, message, fix))


class TooManyRowsError(Exception):
    """A file has more rows than a job takes; those before are good."""


def make_row(line: int, fields: Mapping[str, Any], max_text_chars: int, **timing: Any) -> Row:
    """A checked row.

    Args:
        line: where it stands.
        fields: a `SpeechRequest`'s object.
        max_text_chars: longest text.
        timing: `Row`'s other fields.

    Raises:
        SpeechError: naming the first thing that is wrong.
    """
    text = fields.get("text")
    if not isinstance(text, str):
        raise SpeechError("there is no text.", fix="Give the field text something to say.", param="text")
    checked = {**fields, "text": clean(text, max_text_chars)}
    _check_encodable(checked)
    SpeechRequest.from_json(checked)
    parse(checked["text"])
    timing["name"] = safe_name(str(timing.get("name") or ""))
    _check_timing(timing)
    return Row(line, checked, **timing)


def safe_name(name: str) -> str:
    """``name`` as a file name without folder and ending, good on every system; empty when nothing is left of it."""
    last = re.split(r"[/\\]", name)[-1]
    last = _FORBIDDEN.sub("_", _ENDING.sub("", last)).strip(" ._")[:MAX_NAME_CHARS].strip(" ._")
    return f"_{last}" if _RESERVED.match(last) else last


def _check_encodable(value: object) -> None:
    """Refuses lone halves of surrogate pairs, which JSON can carry and no file can."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SpeechError("there is half a character in it.", fix="Save the file again as UTF-8.") from None
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_encodable(key)
            _check_encodable(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_encodable(item)


def _check_timing(timing: Mapping[str, Any]) -> None:
    for name, limit in (("start_s", MAX_END_S), ("end_s", MAX_END_S), ("gap_s", MAX_GAP_S)):
        value = timing.get(name)
        if value is None:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= limit:
            raise SpeechError(f"{name}={value!r:.40} is not a number of seconds from 0 to {limit:g}.", param=name)
    start_s, end_s = timing.get("start_s"), timing.get("end_s")
    if (start_s is None) != (end_s is None):
        raise SpeechError("start and end belong together.", fix="Give both, or neither.", param="end_s")
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise SpeechError(
            f"it ends at {end_s:.3f} s, not after its start at {start_s:.3f} s.",
            fix="Correct the times.",
            param="end_s",
        )
