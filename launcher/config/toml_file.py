"""TOML that people write.

Invariants: what is not TOML is one sentence that names the file and the place; the parser is loaded when it is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from launcher.errors import ConfigError


def parse_toml(source: str | Path, text: str, *, fix: str) -> dict[str, Any]:
    """The table that a text holds.

    Args:
        source: the file, for the message.
        text: TOML 1.0.
        fix: what a person whose file is wrong is told to do.

    Raises:
        ConfigError: when it is not TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}.", fix=fix) from None
    return table
