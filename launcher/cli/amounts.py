"""Sizes and times as people read and write them.

Invariants: sizes are decimal, as disks are sold; what cannot be read is one sentence that says how to write it.
"""

from __future__ import annotations

import math
import re
from typing import Any

import click

from launcher.config.parsers import size_bytes
from launcher.errors import ConfigError

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_DAY_S = 86_400.0
_AGE_UNITS_S = {"m": 60.0, "h": 3600.0, "d": _DAY_S, "w": 7 * _DAY_S, "y": 365 * _DAY_S}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdwy])", re.IGNORECASE)
_MOST_BYTES = 10**18


class Seconds(click.FloatRange):
    """An option's seconds; click itself lets ``nan`` through every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return number


def size_text(size: float) -> str:
    """A size such as ``3.26 GB``."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:,.2f} {name}" if size < 100 * unit else f"{size / unit:,.0f} {name}"
    return f"{size:.0f} bytes"


def age_text(seconds: float) -> str:
    """How long ago, roughly."""
    for unit, name in ((365 * _DAY_S, "years"), (_DAY_S, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return "just now"


def parse_size(text: str, option: str) -> int:
    """Bytes from ``200GB`` or ``1.5TiB``.

    Raises:
        ConfigError: when it is no size.
    """
    try:
        return int(str(size_bytes(0, _MOST_BYTES)(text)))
    except ValueError:
        raise ConfigError(f"{option}: {text!r} is no size.", fix="Write it as 200GB or 500MiB.") from None


def parse_age(text: str, option: str) -> float:
    """Seconds from ``90d``, ``12h`` or ``2w``.

    Raises:
        ConfigError: when it is no time.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{option}: {text!r} is no time.", fix="Write it as 90d, 12h or 2w.")
    return float(found[1]) * _AGE_UNITS_S[found[2].lower()]
