"""A lock's text, cut into what every computer gets and what hangs on the build of PyTorch.

Invariant: a requirement and its hashes stay together, so that what is installed from the first part is what was
locked, wherever it comes from.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Packages whose versions follow the build.
_OF_BUILD = re.compile(r"torch|torchaudio|triton|nvidia-.*|cuda-.*")


def blocks(lock: str) -> dict[str, list[str]]:
    """Each package's requirements with their hashes, by normal name; more than one where it depends on the system."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in [*lock.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if lines and not line.startswith(" "):
            match = _NAME.match(lines[0])
            if match is not None:
                found.setdefault(normal_name(match[0]), []).append("\n".join(lines))
            lines = []
        if line.strip():
            lines.append(line)
    return found


def normal_name(name: str) -> str:
    """A package's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(lock: str) -> dict[str, tuple[str, ...]]:
    """Each package's versions by name."""
    return {
        name: tuple(match[1] for text in texts if (match := re.search(r"==([^\s;\\]+)", text)))
        for name, texts in blocks(lock).items()
    }


def without_build(lock: str) -> str:
    """The lock without PyTorch and what follows its build."""
    kept = [text for name, texts in blocks(lock).items() if not _OF_BUILD.fullmatch(name) for text in texts]
    return "\n".join(kept) + "\n"


def exact_build(lock: str) -> str:
    """The lock with PyTorch pinned to the very version: ``==2.10.0`` would also take a ``2.10.0+cpu`` from a folder."""
    return re.sub(r"(?m)^(torch|torchaudio)==", r"\1===", lock)
