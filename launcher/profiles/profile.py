"""What a profile says about somebody else's app, and reading it from TOML.

Invariants: what a profile may hold stands in `_SHAPES` and nowhere else; whatever is wrong with a file is one sentence
that names the file, the key and the fix; reading looks at no other file and starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from launcher.config.toml_file import parse_toml
from launcher.errors import ConfigError

#: What a command and a variable may hold in braces.
PLACEHOLDERS = ("python", "host", "port", "directory", "data_dir", "cache_dir", "hub_cache")
#: Loading weights from a slow disk took the slowest app that was measured a good two minutes.
DEFAULT_START_TIMEOUT_S = 900.0
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GROUP = re.compile(r"\\(\d)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
#: The longest profile that a person writes is a few kilobytes.
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """Files that must be there before the app starts.

    Attributes:
        name: as ``fetch`` takes it: of the catalog, or ``org/name[@revision][:patterns]``. Only that repository itself
            counts, not what a catalog's entry adds to it.
        into: folder inside the app's where it looks for them; ``None`` leaves them in the Hub cache.
        files: a path in the repository to the path below ``into``, where they differ.
        optional: the app starts without them.
    """

    name: str
    into: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Failure:
    """What a line of the app's output means.

    Attributes:
        pattern: regular expression that is searched for in a line.
        message: one sentence for a person; may hold the pattern's groups as ``\\1``.
        fix: one sentence, likewise; empty when there is nothing to do.
    """

    pattern: str
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Profile:
    """How to run an app.

    Attributes:
        name: how people call it.
        source: the file that says so.
        title: one line about it.
        directory: its folder; empty when the profile leaves that to ``LAUNCHER_APP_DIR``.
        recognise: files by which its folder is known.
        python: interpreter: a path, a program's name, or ``uv``; empty looks for a virtual environment.
        command: command line with `PLACEHOLDERS`.
        port: that it listens on whatever it is told; 0 when it is told.
        health: path that answers when it is ready.
        ready: regular expression that its output must have held as well; empty for none.
        start_timeout_s: longest time until it is ready.
        stale: scripts (or ``-m module``) that, running from its folder, are left over from an earlier run.
        imports: modules that its interpreter must have.
        offline: it needs no network once its models are there, and is kept off it.
        environment: further variables, with `PLACEHOLDERS`.
        models, failures: see there.
    """

    name: str
    source: str
    title: str
    directory: str
    recognise: tuple[str, ...]
    python: str
    command: tuple[str, ...]
    port: int
    health: str
    ready: str
    start_timeout_s: float
    stale: tuple[str, ...]
    imports: tuple[str, ...]
    offline: bool
    environment: Mapping[str, str]
    models: tuple[Model, ...]
    failures: tuple[Failure, ...]

    def explain(self, line: str) -> Failure | None:
        """What a line of its output means; ``None`` when it is none of its failures. Groups are filled in."""
        for failure in self.failures:
            found = re.search(failure.pattern, line)
            if found is not None:
                message, fix = (
                    _GROUP.sub(lambda one, found=found: str(found[int(one[1])] or ""), text)  # type: ignore[misc]
                    for text in (failure.message, failure.fix)
                )
                return Failure(failure.pattern, message, fix)
        return None

    def to_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        shown = {**vars(self), "models": [vars(one) for one in self.models]}
        return {**shown, "failures": [vars(one) for one in self.failures]}


def fill(text: str, values: Mapping[str, str]) -> str:
    """``text`` with every placeholder that ``values`` knows replaced."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def parse_profile(name: str, source: str, text: str) -> Profile:
    """The profile that a file's text describes.

    Args:
        name: how people call it.
        source: the file, for messages.
        text: TOML.

    Raises:
        ConfigError: naming the file, the key and the fix.
    """
    table = parse_toml(source, text, fix="Correct that line; `tts-launcher apps show` shows a whole profile.")
    reader = _Reader(source)
    values = reader.read(table, _SHAPES, "")
    profile = Profile(
        name=name,
        source=source,
        **{key: value for key, value in values.items() if key not in ("models", "failures")},
        models=tuple(Model(**reader.read(one, _MODEL, "models.")) for one in values["models"]),
        failures=tuple(Failure(**reader.read(one, _FAILURE, "failures.")) for one in values["failures"]),
    )
    _check_together(profile, reader)
    return profile


def read_profile(name: str, path: Path) -> Profile:
    """The profile in a file.

    Raises:
        ConfigError: naming the file, the key and the fix.
    """
    return parse_profile(name, str(path), read_text(path))


def read_text(path: Path) -> str:
    """A profile's text.

    Raises:
        ConfigError: when the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB and no profile.", fix="Move it away.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.", fix="Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", fix="Make it readable.") from None


class _WrongValue(ValueError):  # noqa: N818 - it says what the value is
    """``problem`` continues "KEY ..."; ``fix`` is a sentence."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem, self.fix = problem, fix


class _Reader:
    """Reads tables of one file."""

    def __init__(self, source: str) -> None:
        self._source = source

    def error(self, key: str, problem: str, fix: str) -> ConfigError:
        """The sentence about one key."""
        return ConfigError(f"{self._source}: {key} {problem}", fix=fix)

    def read(self, table: Mapping[str, Any], shapes: Mapping[str, _Shape], prefix: str) -> dict[str, Any]:
        """Every value of a table, defaults for what it leaves out."""
        for key in table:
            if key not in shapes:
                near = get_close_matches(key, shapes, n=1)
                fix = f"Did you mean {near[0]}? " if near else ""
                raise self.error(f"{prefix}{key}", "is no key of a profile.", f"{fix}There are {', '.join(shapes)}.")
        found: dict[str, Any] = {}
        for key, shape in shapes.items():
            if key not in table:
                if shape.required:
                    raise self.error(f"{prefix}{key}", "is missing.", f"Add {key} = {shape.example}")
                found[key] = shape.default
                continue
            try:
                found[key] = shape.take(table[key])
            except _WrongValue as wrong:
                raise self.error(f"{prefix}{key}", wrong.problem, wrong.fix or f"Write it as {shape.example}") from None
        return found


@dataclass(frozen=True)
class _Shape:
    """One key: how its value is taken, what it is without one, how it is written."""

    take: Callable[[Any], Any]
    default: Any
    example: str
    required: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or any(ord(letter) < 32 for letter in value):
        raise _WrongValue(f"is {value!r:.60} and not a line of text.", "")
    return value.strip()


def _filled(value: Any) -> str:
    text = _text(value)
    if not text:
        raise _WrongValue("is empty.", "")
    return text


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongValue(f"is {value!r:.60} and not true or false.", "")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _WrongValue(f"is {value!r:.60} and not a list of texts.", "")
    return tuple(_filled(one) for one in value)


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise _WrongValue(f"is {value!r:.60} and not a port from 1 to 65535.", "")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 86_400:
        raise _WrongValue(f"is {value!r:.60} and not a number of seconds from 1 to 86400.", "")
    return float(value)


def _pattern(value: Any) -> str:
    text = _text(value)
    try:
        re.compile(text)
    except re.error as error:
        raise _WrongValue(f"is no regular expression: {error}.", r"Write \ before . ( [ *, in single quotes.") from None
    return text


def _path_of_url(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"/[!-~]*", text):
        raise _WrongValue(f"is {text!r:.60} and not the path of an address.", "")
    return text


def _inside(value: Any) -> str:
    """A path below the app's folder."""
    text = _text(value).replace("\\", "/")
    if text.startswith(("/", "~")) or ".." in text.split("/") or re.match(r"[A-Za-z]:", text):
        raise _WrongValue(f"is {text!r:.60}, which leaves the app's folder.", "")
    return text


def _variables(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _WrongValue(f"is {value!r:.60} and not a table.", "")
    for name, text in value.items():
        if not _VARIABLE.fullmatch(name) or name.startswith("LAUNCHER_"):
            raise _WrongValue(f"names {name!r:.60}, which is no variable for an app.", "Rename or remove it.")
        if not isinstance(text, str) or "\0" in text:
            raise _WrongValue(f"has {name} = {text!r:.60}, which is not text.", f'Write {name} = "{text!s:.60}"')
    return dict(value)


def _renames(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise _WrongValue(f"is {value!r:.60} and not a table of paths.", "")
    return {_inside(path): _inside(target) for path, target in value.items()}


def _tables(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _WrongValue("is not a list of tables.", "")
    return tuple(value)


_SHAPES: dict[str, _Shape] = {
    "title": _Shape(_text, "", '"What it is"'),
    "directory": _Shape(_text, "", '"~/my-app"'),
    "recognise": _Shape(_texts, (), '["webui.py", "some/file.py"]'),
    "python": _Shape(_text, "", '".venv/bin/python"'),
    "command": _Shape(_texts, (), '["{python}", "webui.py", "--host", "{host}", "--port", "{port}"]', required=True),
    "port": _Shape(_port, 0, "7860"),
    "health": _Shape(_path_of_url, "/", '"/"'),
    "ready": _Shape(_pattern, "", "'Running on local URL'"),
    "start_timeout_s": _Shape(_seconds, DEFAULT_START_TIMEOUT_S, "900"),
    "stale": _Shape(_texts, (), '["webui.py"]'),
    "imports": _Shape(_texts, (), '["gradio", "torch"]'),
    "offline": _Shape(_switch, False, "true"),
    "environment": _Shape(_variables, {}, '{ NAME = "value" }'),
    "models": _Shape(_tables, (), '[[models]] on a line of its own, and name = "org/name" below'),
    "failures": _Shape(_tables, (), "[[failures]] on a line of its own, and pattern, message and fix below"),
}
_MODEL: dict[str, _Shape] = {
    "name": _Shape(_filled, "", '"org/name"', required=True),
    "into": _Shape(_inside, None, '"checkpoints"'),
    "files": _Shape(_renames, {}, '{ "path/in/repository" = "path/below/into" }'),
    "optional": _Shape(_switch, False, "true"),
}
_FAILURE: dict[str, _Shape] = {
    "pattern": _Shape(_pattern, "", "'out of memory'", required=True),
    "message": _Shape(_filled, "", '"The GPU has too little memory."', required=True),
    "fix": _Shape(_text, "", '"Close what else uses it."'),
}


def _check_together(profile: Profile, reader: _Reader) -> None:
    """The rules that need more than one key, and those about placeholders."""
    command = ("command", profile.command)
    for key, texts in (command, ("environment", tuple(profile.environment.values()))):
        for name in (name for text in texts for name in _PLACEHOLDER.findall(text)):
            if name not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                raise reader.error(key, f"holds {{{name}}}, which is no placeholder.", f"There are {known}.")
    if not profile.command:
        raise reader.error("command", "is empty.", f"Write it as {_SHAPES['command'].example}")
    if any("{python}" in text and text != "{python}" for text in profile.command):
        raise reader.error(
            "command", "has {python} inside a longer argument.", 'Write "{python}" as an argument alone.'
        )
    if not profile.port and not any("{port}" in text for text in (*profile.command, *profile.environment.values())):
        raise reader.error(
            "command", "never says which port.", "Put {port} into command or environment, or add port = 7860."
        )
    for model in profile.models:
        if model.files and model.into is None:
            raise reader.error("models.files", "needs into.", 'Add into = "folder", where the files go.')
    for failure in profile.failures:
        groups = re.compile(failure.pattern).groups
        for number in (int(one) for text in (failure.message, failure.fix) for one in _GROUP.findall(text)):
            if not 1 <= number <= groups:
                raise reader.error(
                    "failures.message", f"names \\{number}, a group that its pattern lacks.", "Count the ( in pattern."
                )
