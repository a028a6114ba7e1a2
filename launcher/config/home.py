"""The home folder, and paths that start with ``~``.

Invariant: who has no home, or names one that nobody has, gets a sentence: `Path.home` and `Path.expanduser` raise
`RuntimeError` then. A container's user may have none, and a shell leaves ``~`` as it is before a name that it lacks.
"""

from __future__ import annotations

import os
from pathlib import Path

from launcher.errors import ConfigError


def home_folder() -> Path | None:
    """The home of whoever runs this; ``None`` when neither ``HOME`` nor the system names one."""
    path = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises
    return Path(path) if path != "~" else None


def require_home() -> Path:
    """The home of whoever runs this.

    Raises:
        ConfigError: when there is none.
    """
    home = home_folder()
    if home is None:
        raise ConfigError("There is no home folder.", fix="Set HOME to a folder of yours, or ask as another user.")
    return home


def whole_path(given: str | Path) -> Path:
    """A path that a person wrote: ``~`` replaced, and absolute.

    Raises:
        ConfigError: when ``~`` names nobody's home.
    """
    path = os.path.expanduser(given)  # noqa: PTH111 - as above
    if path.startswith("~") and not os.path.lexists(path):
        raise ConfigError(f"{given} starts with ~, but there is no such home folder.", fix="Write the whole path.")
    return Path(path).absolute()
