"""The mirrors file: TOML that people write, and the two changes that ``mirror add`` and ``mirror rm`` make to it.

::

    builtin = true                       # or false, or some of "official", "hf-mirror", "modelscope"

    [[mirror]]
    url = "https://mirror.example.org"   # and kind, token, token_file, weight, connections, trusted, ids

Invariants: a change touches only the lines that it is about, so that comments stay; the file is replaced in one step
and only by text that reads back as what was wanted; two changes at once are both made; a new file is readable for its
owner alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from launcher.config.mirror_list import BUILT_IN_WORDS, DEFAULT_CONNECTIONS, MirrorEntry, entry
from launcher.config.parsers import BadValue
from launcher.config.toml_file import parse_toml
from launcher.errors import ConfigError, StorageError

#: The longest list that a person keeps is a few kilobytes.
_MAX_BYTES = 1 << 20
_NEW_FILE = "# Mirrors that models are fetched from; see docs/mirrors.md.\nbuiltin = {}\n"
_HEADER = re.compile(r"\s*\[")
_MIRROR_HEADER = re.compile(r"\s*\[\[\s*mirror\s*\]\]")
_BUILTIN_LINE = re.compile(r"(?m)^\s*builtin\s*=[^\n]*$")


def read_mirrors(path: Path) -> tuple[MirrorEntry | str, ...]:
    """The entries of the file: words of `BUILT_IN_WORDS` first, then the mirrors.

    Raises:
        ConfigError: naming the file, the entry and the fix.
        StorageError: when the file cannot be read.
    """
    return _parse(path, _read(path))


def add_mirror(path: Path, new: MirrorEntry, *, keep_built_in: bool = True) -> None:
    """Adds a mirror at the file's end; makes the file when there is none.

    Args:
        path: the file.
        new: the mirror.
        keep_built_in: whether a new file lists the built-in ones, which an existing file decides for itself.

    Raises:
        ConfigError: when it is listed already or the file has an error.
        StorageError: when the file cannot be written.
    """
    with _alone(path):
        text = _read(path) if path.exists() else _NEW_FILE.format(str(keep_built_in).lower())
        before = _parse(path, text)
        if any(isinstance(one, MirrorEntry) and one.url == new.url for one in before):
            raise ConfigError(
                f"{path} lists {new.url} already.", fix=f"Edit it there, or run: tts-launcher mirror rm {new.url}"
            )
        block = "\n".join(["[[mirror]]", *(f"{name} = {_toml(value)}" for name, value in _options(new).items())])
        _replace(path, f"{text.rstrip()}\n\n{block}\n", (*before, new))


def remove_mirror(path: Path, url: str, built_in: Mapping[str, str]) -> None:
    """Removes a mirror, or takes a built-in one out of the list.

    Args:
        path: the file; made when it is a built-in one that has to go.
        url: as `MirrorEntry.url` has it.
        built_in: the word of each built-in one to its address.

    Raises:
        ConfigError: when it is not listed, or stands there in a way that only a person can edit.
        StorageError: when the file cannot be written.
    """
    with _alone(path):
        text = _read(path) if path.exists() else _NEW_FILE.format("true")
        before = _parse(path, text)
        words = [word for word in built_in if word in before or "builtin" in before]
        if any(isinstance(one, MirrorEntry) and one.url == url for one in before):
            after = tuple(one for one in before if isinstance(one, str) or one.url != url)
            text = _without_block(path, text, url)
        elif url in (built_in[word] for word in words):
            kept = [word for word in words if built_in[word] != url]
            after = (*kept, *(one for one in before if isinstance(one, MirrorEntry)))
            text = _BUILTIN_LINE.sub(f"builtin = {json.dumps(kept)}", text, count=1)
        else:
            raise ConfigError(f"{path} does not list {url}.", fix="See: tts-launcher mirror ls")
        _replace(path, text, after)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps other changes waiting: of two that come together none undoes the other. Windows locks no folders."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The mirrors file {path} cannot be written ({error.strerror or error}).",
        fix="Make its folder writable, or name another file in LAUNCHER_MIRRORS.",
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB and no list of mirrors.", fix="Name another file.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.", fix="Save it as UTF-8.") from None
    except OSError as error:
        raise StorageError(
            f"The mirrors file {path} cannot be read ({error.strerror or error}).",
            fix="Create it, make it readable, or correct LAUNCHER_MIRRORS.",
        ) from None


def _parse(path: Path, text: str) -> tuple[MirrorEntry | str, ...]:
    values = parse_toml(path, text, fix="Correct that line; docs/mirrors.md shows one.")
    try:
        return _entries(values)
    except BadValue as bad:
        raise ConfigError(f"{path} {bad.problem}", fix=bad.fix) from None


def _entries(values: Mapping[str, Any]) -> tuple[MirrorEntry | str, ...]:
    unknown = next((name for name in values if name not in ("builtin", "mirror")), None)
    if unknown is not None:
        raise BadValue(f"has {unknown!r}, which there is not.", "Use builtin, and [[mirror]] for each mirror.")
    chosen = values.get("builtin", False)
    if isinstance(chosen, bool):
        chosen = ["builtin"] if chosen else []
    names = BUILT_IN_WORDS[1:]
    if not isinstance(chosen, list) or not all(word in (*names, "builtin") for word in chosen):
        raise BadValue(f"has builtin = {chosen!r}.", f"Use true, false, or some of {', '.join(names)}, in a list.")
    tables = values.get("mirror", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadValue("has a mirror that is no table.", "Write [[mirror]] on a line, and its options below.")
    entries = [entry(table) for table in tables]
    urls = [one.url for one in entries]
    twice = next((url for url in urls if urls.count(url) > 1), None)
    if twice is not None:
        raise BadValue(f"lists {twice} twice.", "Remove one of them.")
    return (*chosen, *entries)


def _options(new: MirrorEntry) -> dict[str, object]:
    """What has to be written, usual values left out."""
    usual = MirrorEntry(new.url, connections=DEFAULT_CONNECTIONS)
    return {
        name: value
        for name, value in vars(new).items()
        if name == "url" or (value != getattr(usual, name) and value is not None)
    }


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(text)}" for name, text in value.items()) + "}"
    # A JSON string without characters beyond ASCII is a TOML string, and so are numbers and switches.
    return json.dumps(value)


def _without_block(path: Path, text: str, url: str) -> str:
    """``text`` without the block of lines that describes ``url``."""
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if _HEADER.match(line)]
    for start in starts:
        if not _MIRROR_HEADER.match(lines[start]):
            continue
        end = next((number for number in starts if number > start), len(lines))
        try:
            block = _parse(path, "".join(lines[start:end]))
        except ConfigError:
            continue
        if [one.url for one in block if isinstance(one, MirrorEntry)] == [url]:
            return "".join([*lines[:start], *lines[end:]])
    return text


def _replace(path: Path, text: str, wanted: tuple[MirrorEntry | str, ...]) -> None:
    if _parse(path, text) != wanted:
        raise ConfigError(f"{path} is written in a way that this command cannot change.", fix="Edit it by hand.")
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may hold tokens: an existing file keeps its permissions, a new one is private.
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from None
