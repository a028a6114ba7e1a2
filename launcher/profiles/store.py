"""Where profiles are: ours beside this file, the user's in ``<data_dir>/apps``; and what a profile needs to run.

Invariants: the user's file wins over ours of the same name; a file that exists is never written over; nothing is
started here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.config import Config
from launcher.errors import ConfigError, StorageError
from launcher.profiles.profile import Profile, read_profile, read_text

#: Our own page and engine: no profile at all.
BUILTIN = "builtin"
#: The profiles that come along.
OURS = ("index-tts", "heygem")
_FOLDER = Path(__file__).resolve().parent
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
#: Names that apps give the script that starts them, the likeliest first.
_SCRIPTS = ("webui.py", "app.py", "gradio_app.py", "launch.py", "server.py", "main.py")
#: Where people and tools put an app's own environment, the likeliest first.
_ENVIRONMENTS = (".venv", "venv", "env")
_DIRECTORY_LINE = re.compile(r"(?m)^# directory = .*$")


@dataclass(frozen=True)
class App:
    """A profile with its folder and its interpreter.

    Attributes:
        directory: absolute; exists.
        python: how its interpreter is called: one word, or ``uv run python``.
    """

    profile: Profile
    directory: Path
    python: tuple[str, ...]


def apps_folder(config: Config) -> Path:
    """Where the user's profiles are."""
    return config.data_dir / "apps"


def names(config: Config) -> tuple[str, ...]:
    """Every profile's name: ours first, then the user's own."""
    own = sorted(path.stem for path in apps_folder(config).glob("*.toml") if _NAME.fullmatch(path.stem))
    return (*OURS, *(name for name in own if name not in OURS))


def find(config: Config, name: str) -> Profile:
    """The profile of that name.

    Raises:
        ConfigError: when there is none, or its file is wrong.
    """
    path = profile_path(config, name)
    if path is None:
        raise ConfigError(
            f"There is no app {name!r}.",
            fix=f"There are {', '.join((BUILTIN, *names(config)))}; `tts-launcher apps init DIR` makes another one.",
        )
    return read_profile(name, path)


def profile_path(config: Config, name: str) -> Path | None:
    """The file of a profile; ``None`` when there is none."""
    if not _NAME.fullmatch(name):
        return None
    own = apps_folder(config) / f"{name}.toml"
    if own.exists():
        return own
    return _FOLDER / f"{name}.toml" if name in OURS else None


def resolve(config: Config) -> App:
    """The app that the settings name, ready to be started.

    Raises:
        ConfigError: naming what is missing and how to say it.
    """
    profile = find(config, config.app)
    directory = find_directory(config, profile)
    return App(profile, directory, find_python(profile, directory))


def find_directory(config: Config, profile: Profile) -> Path:
    """The app's folder: of the settings, else of the profile.

    Raises:
        ConfigError: when neither names one that exists.
    """
    key, text = ("LAUNCHER_APP_DIR", config.app_dir) if config.app_dir else ("directory", profile.directory)
    fix = "Correct it, or name the folder with LAUNCHER_APP_DIR or `start --app-dir DIR`."
    if not text:
        raise ConfigError(
            f"The app {profile.name} has no folder yet.",
            fix=f"Run `tts-launcher apps init DIR --name {profile.name}`, or start with --app-dir DIR.",
        )
    where = f"{key}={text!r}" if config.app_dir else f"{profile.source}: {key} = {text!r}"
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises where this leaves the ~
    if not path.is_absolute():
        raise ConfigError(f"{where} is not a whole path.", fix=fix)
    if not path.is_dir():
        raise ConfigError(f"{where} is not a folder.", fix=fix)
    return path.resolve()


def recognises(profile: Profile, directory: Path) -> bool:
    """Whether a folder is surely this app's."""
    return bool(profile.recognise) and all((directory / name).exists() for name in profile.recognise)


def recognise(config: Config, directory: Path) -> Profile | None:
    """The profile that knows a folder for its own; ``None`` when none does."""
    for name in names(config):
        try:
            profile = find(config, name)
        except ConfigError:  # a file that is wrong says so where it is asked for
            continue
        if recognises(profile, directory):
            return profile
    return None


def find_python(profile: Profile, directory: Path) -> tuple[str, ...]:
    """How the app's interpreter is called.

    Raises:
        ConfigError: when there is none.
    """
    said = profile.python
    if not said:
        for path in _candidates(directory):
            if path.is_file():
                return (str(path),)
        uv = shutil.which("uv") if (directory / "uv.lock").is_file() else None
        advice = "Run `uv sync --all-extras` there" if uv else "Make one there"
        raise ConfigError(
            f"{directory} has no environment of its own ({', '.join(_ENVIRONMENTS)}).",
            fix=f'{advice}, or write python = "/path/to/python" into the profile.',
        )
    fix = 'Write the path of a Python program, or "uv".'
    if said == "uv":
        program = shutil.which("uv")
        if program is None:
            raise ConfigError(f'{profile.source}: python = "uv", but there is no program uv.', fix="Install uv.")
        return (program, "run", "python")
    if "/" not in said and "\\" not in said:
        program = shutil.which(said)
        if program is None:
            raise ConfigError(f"{profile.source}: python = {said!r} is no program on the path.", fix=fix)
        return (program,)
    path = directory / os.path.expanduser(said)  # noqa: PTH111 - as above
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigError(f"{profile.source}: python = {said!r} is no program.", fix=fix)
    return (str(path),)


def _candidates(directory: Path) -> Iterator[Path]:
    for name in _ENVIRONMENTS:
        yield directory / name / "bin" / "python"
        yield directory / name / "Scripts" / "python.exe"


def write_profile(config: Config, directory: Path, name: str = "", script: str = "") -> Path:
    """Writes a commented profile for a folder; returns the file.

    Args:
        config: the settings.
        directory: the app's folder.
        name: how people will call it; empty takes that of ours which knows the folder, or the folder's own.
        script: the script that starts it; empty looks for a usual name.

    Raises:
        ConfigError: when the folder or the name is none, or nothing in the folder looks like an app.
        StorageError: when the profile exists already or cannot be written.
    """
    if not directory.is_dir():
        raise ConfigError(f"{str(directory)!r} is not a folder.", fix="Name the app's folder.")
    directory = directory.resolve()
    known = next((one for one in OURS if recognises(read_profile(one, _FOLDER / f"{one}.toml"), directory)), "")
    name = name or known or re.sub(r"[^a-z0-9_.-]+", "-", directory.name.lower()).strip("-.")
    if name == BUILTIN or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for an app.", fix="Use --name with lower-case letters, digits and - _ . in it."
        )
    base = name if name in OURS else ""
    if script or not (base or known):
        text = read_text(_FOLDER / "template.toml").replace("{script}", _script(directory, script))
        text = text.replace("{title}", name)
    else:
        text = read_text(_FOLDER / f"{base or known}.toml")
    line = f"directory = {json.dumps(str(directory), ensure_ascii=False)}"
    text = _DIRECTORY_LINE.sub(lambda _found: line, text, count=1)
    path = apps_folder(config) / f"{name}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StorageError(
            f"{path} exists already and stays as it is.", fix="Edit it, or choose another name with --name."
        ) from None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}.", fix="Make its folder writable."
        ) from None
    return path


def _script(directory: Path, said: str) -> str:
    for name in (said,) if said else _SCRIPTS:
        if (directory / name).is_file():
            return name
    what = f"no file {said!r}" if said else f"none of {', '.join(_SCRIPTS)}"
    raise ConfigError(f"{directory} has {what}.", fix="Name the script that starts the app with --script.")
