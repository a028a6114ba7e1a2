"""What of a profile would work: a line for each part, without starting the app.

Invariants: nothing is changed or fetched; every line that is not ``ok`` says what to do; the app's interpreter is asked
where modules are and imports none of the app's.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from launcher.config import Config
from launcher.errors import LauncherError
from launcher.profiles.environment import app_command, app_environment, placeholders
from launcher.profiles.placing import lacking, needs_of, odd_sizes
from launcher.profiles.profile import Profile
from launcher.profiles.store import App, find_directory, find_python

OK, WARNING, FAILED = "ok", "warning", "failed"
#: An interpreter on a cold, slow disk, through `uv run`.
_ASK_TIMEOUT_S = 60.0
_MB = 1_000_000
_QUESTION = """
import importlib.util, json, sys
sys.path.insert(0, sys.argv[1])
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
print(json.dumps({"version": sys.version.split()[0], "lacks": [n for n in sys.argv[2:] if not there(n)]}))
"""


@dataclass(frozen=True)
class Line:
    """One part of a profile.

    Attributes:
        key: which.
        state: `OK`, `WARNING` (works, will surprise) or `FAILED`.
        detail: what is there, without a full stop.
        fix: what to do, one sentence; empty when nothing needs doing.
    """

    key: str
    state: str
    detail: str
    fix: str = ""


def examine(config: Config, profile: Profile) -> Iterator[Line]:
    """Every part but the port, in the order of a start; ends at the first without which nothing works."""
    yield Line("profile", OK, profile.source)
    try:
        directory = find_directory(config, profile)
    except LauncherError as error:
        yield Line("directory", FAILED, error.message.rstrip("."), error.fix)
        return
    yield _directory(profile, directory)
    try:
        app = App(profile, directory, find_python(profile, directory))
    except LauncherError as error:
        yield Line("python", FAILED, error.message.rstrip("."), error.fix)
    else:
        yield from _interpreter(config, app)
        yield _command(config, app)
    yield from _models(config, profile, directory)
    yield _folder(directory)


def _directory(profile: Profile, directory: Path) -> Line:
    absent = [name for name in profile.recognise if not (directory / name).exists()]
    if absent:
        return Line("directory", WARNING, f"{directory} lacks {', '.join(absent)}", "Is it the right folder?")
    return Line("directory", OK, str(directory))


def _interpreter(config: Config, app: App) -> Iterator[Line]:
    shown = " ".join(app.python)
    fix = "Correct python in the profile, or make the app's environment anew."
    try:
        done = subprocess.run(
            [*app.python, "-c", _QUESTION, str(app.directory), *app.profile.imports],
            cwd=app.directory,
            env=app_environment(config, app, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
        said = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        yield Line("python", FAILED, f"{shown} does not run Python", fix)
        return
    yield Line("python", OK, f"{shown} (Python {said['version']})")
    if said["lacks"]:
        install = "Run `uv sync --all-extras` in its folder." if (app.directory / "uv.lock").is_file() else fix
        yield Line("imports", FAILED, f"its environment lacks {', '.join(said['lacks'])}", install)
    elif app.profile.imports:
        yield Line("imports", OK, ", ".join(app.profile.imports))


def _command(config: Config, app: App) -> Line:
    words = app_command(app, placeholders(config, app.directory))
    script = next((word for word in words[len(app.python) :] if word.endswith((".py", ".sh"))), "")
    if script and not (app.directory / script).is_file():
        return Line("command", FAILED, f"there is no {script} in {app.directory}", "Correct command in the profile.")
    return Line("command", OK, " ".join(words))


def _models(config: Config, profile: Profile, directory: Path) -> Iterator[Line]:
    try:
        found = lacking(config, profile, directory)
        count = len({need.part.repo for need in needs_of(profile)})
    except LauncherError as error:
        yield Line("models", FAILED, error.message.rstrip("."), error.fix)
        return
    needed = [one for need, one in found if not need.model.optional]
    if needed:
        size = sum(one.size_bytes for one in needed)
        total = f"; {size / _MB:,.1f} MB together" if size else ""
        state, way = (FAILED, "no network may be used") if config.is_offline else (WARNING, "the start fetches them")
        names = ", ".join(one.describe() for one in needed)
        fetch = f"Run `tts-launcher fetch {' '.join(dict.fromkeys(model.name for model in profile.models))}`."
        yield Line("models", state, f"not here: {names}{total}; {way}", fetch)
    elif count:
        yield Line("models", OK, f"{count} repositories are here")
    for path, size, expected in odd_sizes(profile, directory):
        yield Line(
            f"models {path}", WARNING, f"{size:,} bytes where {expected:,} are usual", "Remove it if it was cut."
        )


def _folder(directory: Path) -> Line:
    if os.access(directory, os.W_OK):
        return Line("writing", OK, f"{directory} can be written to")
    return Line("writing", WARNING, f"{directory} cannot be written to", "Most apps write their outputs there.")
