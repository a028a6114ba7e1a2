"""Every failure that a person can cause or mend, as one exception tree.

::

    LauncherError           1   something failed that has no class of its own
    ├── ConfigError         2   a setting, flag or .env line is wrong
    ├── PortError           3   the port belongs to somebody else, or cannot be bound
    ├── NotRunningError     4   there is no instance to talk to
    ├── StorageError        5   a path is not writable, a disk is full, a file is damaged
    │   └── DiskFullError   5   there is no room left on a disk
    ├── EngineError         6   the speech engine is missing, failed to load, or died
    ├── StopError           7   a process survived every means that we may use
    ├── SpeechError         8   the request for speech is wrong (text, voice, emotion, format)
    ├── StartError          9   a component did not come up
    └── FetchError          10  weights are missing, and no mirror serves them rightly

Invariants: the message is one sentence that names the setting and the value; ``fix`` is one sentence that says
what to do; neither ever holds a secret. The number is the exit code of the command line (0 success, 130 Ctrl-C).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

#: What the system says when a disk, or somebody's share of it, is full.
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
#: Codes of an `EngineError`.
ENGINE_ERROR, OUT_OF_MEMORY = "engine_error", "out_of_memory"


class LauncherError(Exception):
    """A failure with one sentence for a person and, where there is one, the way out.

    Args:
        message: one sentence: what is wrong, with the setting and the value.
        fix: one sentence: what to do about it; empty when there is nothing to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class ConfigError(LauncherError):
    """A setting, flag or ``.env`` line is wrong."""

    exit_code = 2


class PortError(LauncherError):
    """The port belongs to another process or cannot be bound."""

    exit_code = 3


class NotRunningError(LauncherError):
    """There is no running instance to talk to."""

    exit_code = 4


class StorageError(LauncherError):
    """A path is not writable, a disk is full or a file is damaged."""

    exit_code = 5


class DiskFullError(StorageError):
    """There is no room left on a disk, or none that may be used."""


class EngineError(LauncherError):
    """The speech engine is missing, failed to load or died.

    Args:
        message: one sentence.
        fix: one sentence.
        code: a stable word for programs: ``engine_error`` or ``out_of_memory``.
    """

    exit_code = 6

    def __init__(self, message: str, *, fix: str = "", code: str = ENGINE_ERROR) -> None:
        super().__init__(message, fix=fix)
        self.code = code


class StopError(LauncherError):
    """A process survived every means that the launcher may use."""

    exit_code = 7


class SpeechError(LauncherError):
    """The request for speech is wrong.

    Args:
        message: one sentence: what is wrong, with the field and the value.
        fix: one sentence: what to do about it.
        param: the request's field at fault, as the OpenAI error object names it; empty when it is none.
        code: a stable machine-readable word such as ``unknown_voice``.
        http_status: the status of an HTTP answer that carries this error.
    """

    exit_code = 8

    def __init__(
        self,
        message: str,
        *,
        fix: str = "",
        param: str = "",
        code: str = "invalid_value",
        http_status: int = 400,
    ) -> None:
        super().__init__(message, fix=fix)
        self.param = param
        self.code = code
        self.http_status = http_status


class StartError(LauncherError):
    """A component did not come up."""

    exit_code = 9


class FetchError(LauncherError):
    """Weights are missing, and no mirror serves them rightly.

    Args:
        message, fix: as of every failure.
        rejected: address of a mirror to why it does not serve, as a clause.
    """

    exit_code = 10

    def __init__(self, message: str, *, fix: str = "", rejected: Mapping[str, str] | None = None) -> None:
        super().__init__(message, fix=fix)
        self.rejected = dict(rejected or {})
