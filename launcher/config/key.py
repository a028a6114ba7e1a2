"""What one setting is: its name, its parser, its default, and one line for people in two languages.

Invariant: a ``LAUNCHER_`` key's name without the prefix, in lower case, is the attribute of `launcher.config.Config`.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.config import parsers
from launcher.config.parsers import Parser

PREFIX = "LAUNCHER_"


@dataclass(frozen=True)
class Key:
    """One setting.

    Attributes:
        name: as the environment and ``.env`` spell it.
        default: text that `parse` takes; empty when there is none or it depends on other settings.
        english, chinese: one line: what it does and in which unit.
        example: a value that may be copied.
        parse: from text to value.
        secret: never shown.
        is_path: made absolute before `parse`.
        path_suffix: text that ends so is a path even if not every value is.
        default_note: what happens without it, when ``default`` cannot say so.
        empty_counts: an empty value in the environment is a value.
    """

    name: str
    default: str
    english: str
    chinese: str
    example: str
    parse: Parser = parsers.text
    secret: bool = False
    is_path: bool = False
    path_suffix: str = ""
    default_note: str = ""
    empty_counts: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is the launcher's own and no standard name."""
        return self.name.startswith(PREFIX)

    @property
    def attribute(self) -> str:
        """The attribute of `Config` that holds it; empty for a standard name."""
        return self.name.removeprefix(PREFIX).lower() if self.is_ours else ""
