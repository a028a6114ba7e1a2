"""Reading a ``.env`` file: python-dotenv's syntax, every malformed line reported with its number.

Invariants: the process's own environment is neither read nor changed; a line's text is never repeated, because it may
hold a secret; a missing file is for the caller to judge.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The longest real .env files are a few kilobytes; anything beyond this is some other file.
MAX_DOTENV_BYTES = 1024 * 1024


@dataclass(frozen=True)
class DotenvFile:
    """What a ``.env`` file holds.

    Attributes:
        values: name to value, ``${NAME}`` replaced; the last line of a name counts.
        lines: name to the number of its line, from 1.
        problems: one sentence for each line or file that cannot be used.
        repeated: one sentence for each name that stands there twice.
    """

    values: Mapping[str, str]
    lines: Mapping[str, int]
    problems: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()


def read_dotenv(path: Path, environ: Mapping[str, str]) -> DotenvFile:
    """The content of ``path``; ``environ`` fills in ``${NAME}`` and wins over the file itself.

    Raises:
        FileNotFoundError: when there is no such file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DOTENV_BYTES + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        return _unusable(f"{path} is a folder, not a settings file; give the file itself, or move the folder away.")
    except OSError as error:
        reason = error.strerror or str(error)
        return _unusable(
            f"{path} cannot be read ({reason}); make it readable for you, or name another with --env-file."
        )
    if len(data) > MAX_DOTENV_BYTES:
        return _unusable(f"{path} is larger than 1 MiB and no settings file; name another with --env-file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _unusable(f"{path} line {line} is not UTF-8; save the file as UTF-8.")
    return _parse(path, text, environ)


def _unusable(problem: str) -> DotenvFile:
    return DotenvFile({}, {}, (problem,))


def _parse(path: Path, text: str, environ: Mapping[str, str]) -> DotenvFile:
    from dotenv.parser import parse_stream
    from dotenv.variables import parse_variables

    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[str] = []
    repeated: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        # The parser counts from the blank lines before a binding.
        raw = binding.original.string
        line = binding.original.line + raw[: len(raw) - len(raw.lstrip())].count("\n")
        if binding.error or (binding.key and binding.value is None):
            problems.append(
                f"{path} line {line} is not a setting; write NAME=value, with quotes around odd characters."
            )
        if binding.error or binding.key is None or binding.value is None:
            continue
        if binding.key in lines:
            repeated.append(
                f"{path} sets {binding.key} in lines {lines[binding.key]} and {line}; the last one counts, remove one."
            )
        atoms = parse_variables(binding.value)
        values[binding.key] = "".join(atom.resolve({**values, **environ}) for atom in atoms)
        lines[binding.key] = line
    return DotenvFile(values, lines, tuple(problems), tuple(repeated))
