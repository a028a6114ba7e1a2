"""Which files of a repository are wanted: release assets, and what the user asks for or leaves out.

Invariants: a file that is left out has a reason that can be shown; a file that ``include`` names is never left out
for what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from launcher.hub.remote_files import RemoteFile

#: What training leaves behind: (what it is, pattern of the whole path in lower case).
_LEFTOVERS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "TensorBoard events",
        re.compile(r"(^|.*/)events\.out\.tfevents\..*|.*\.tfevents(\..*)?|(^|.*/)(tensorboard|tb_logs)/.*"),
    ),
    (
        "an optimizer's state",
        re.compile(
            r"(^|.*/)(optim(izer)?|scheduler|scaler|rng_state|training_args)[^/]*\.(pt|pth|bin|pkl|ckpt)|.*_optim(izer)?\.(pt|pth|bin)"
        ),
    ),
    (
        "an intermediate checkpoint",
        re.compile(
            r"(^|.*/)(checkpoint|global_?step|step|epoch|iter)[-_]?\d+(/.*|[^/]*\.(pt|pth|ckpt|bin|safetensors))"
        ),
    ),
    (
        "a training log",
        re.compile(r"(^|.*/)(logs?|wandb|runs|mlruns)/.*|.*\.log|(^|.*/)(train(er|ing)?_(log|state)[^/]*)"),
    ),
)


@dataclass(frozen=True)
class Selection:
    """Which files are wanted.

    Attributes:
        include: patterns; empty for all release assets.
        exclude: patterns of files that are not wanted.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selected:
    """A selection's outcome: the files that are wanted, and the path of each other one with the reason."""

    files: tuple[RemoteFile, ...]
    skipped: tuple[tuple[RemoteFile, str], ...]


def select(files: Iterable[RemoteFile], selection: Selection) -> Selected:
    """Divides ``files``; the order stays."""
    wanted: list[RemoteFile] = []
    skipped: list[tuple[RemoteFile, str]] = []
    for file in files:
        reason = _reason_against(file.path, selection)
        if reason:
            skipped.append((file, reason))
        else:
            wanted.append(file)
    return Selected(tuple(wanted), tuple(skipped))


def _reason_against(path: str, selection: Selection) -> str:
    if matches(path, selection.exclude):
        return "excluded"
    if selection.include:
        return "" if matches(path, selection.include) else "not included"
    return next((f"is {what}" for what, pattern in _LEFTOVERS if pattern.fullmatch(path.lower())), "")


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the shell patterns fits; ``*`` crosses folders and ``folder/`` means all below it."""
    return any(fnmatchcase(path, f"{one}*" if one.endswith("/") else one) for one in patterns)
