"""Putting shortcuts where people find them, and taking them away: the one seam between rendering and a desktop.

Invariants: a file of somebody else under our name is never replaced; what runs commands is passed in; what was
installed is found again by its place and its mark alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.config.home import require_home
from launcher.errors import LauncherError, StorageError
from launcher.shortcut import icon, linux, macos, windows
from launcher.shortcut.spec import MARK, ShortcutSpec

#: Runs a command and returns its exit code and what it printed.
Run = Callable[[Sequence[str]], tuple[int, str]]
_MARK_FILE = "made-by.txt"


@dataclass(frozen=True)
class Desktop:
    """Where a system shows shortcuts.

    Attributes:
        kind: ``linux``, ``windows`` or ``macos``.
        folders: where a shortcut goes: the menu first, then the desktop.
        icons: where our icon goes.
        run: runs a command.
    """

    kind: str
    folders: tuple[Path, ...]
    icons: Path
    run: Run

    @property
    def icon_name(self) -> str:
        """The icon's file name."""
        return {"linux": f"{MARK}.svg", "windows": f"{MARK}.ico", "macos": f"{MARK}.icns"}[self.kind]


def this_desktop(run: Run, *, environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Desktop:
    """The desktop of whoever runs this."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or require_home())
    if platform == "win32":
        roaming = Path(environ.get("APPDATA", home / "AppData" / "Roaming"))
        menu = roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs"
        return Desktop("windows", (menu, home / "Desktop"), roaming / MARK, run)
    if platform == "darwin":
        return Desktop("macos", (home / "Applications", home / "Desktop"), home / "Library" / "Caches" / MARK, run)
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    folders = (data / "applications", *_linux_desktop(home, environ, run))
    return Desktop("linux", folders, data / "icons" / "hicolor" / "scalable" / "apps", run)


def install(spec: ShortcutSpec, desktop: Desktop) -> list[Path]:
    """Writes the icon and every shortcut; returns the shortcuts.

    Raises:
        StorageError: when a place cannot be written or holds somebody else's file.
        LauncherError: when the system's own tool fails.
    """
    places = paths(spec, desktop)
    for place in places:
        if place.exists() and not _is_ours(place, desktop):
            raise StorageError(f"{place} is there and was not made by this.", fix="Move it away, then try again.")
    try:
        desktop.icons.mkdir(parents=True, exist_ok=True)
        (desktop.icons / desktop.icon_name).write_bytes(_icon(desktop))
        for place in places:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(spec, place, desktop)
    except OSError as error:
        raise StorageError(
            f"The shortcut cannot be written to {error.filename}: {(error.strerror or str(error)).lower()}.",
            fix="Make that folder writable.",
        ) from None
    return places


def remove(spec: ShortcutSpec, desktop: Desktop) -> list[Path]:
    """Removes every shortcut of ours and returns them; the icon stays while another instance uses it."""
    gone: list[Path] = []
    for place in installed(spec, desktop):
        if place.is_dir():
            import shutil

            shutil.rmtree(place)
        else:
            place.unlink()
        gone.append(place)
    suffix = paths(spec, desktop)[0].suffix
    if not any(list(folder.glob(f"{MARK}*{suffix}")) for folder in desktop.folders):
        (desktop.icons / desktop.icon_name).unlink(missing_ok=True)
    return gone


def installed(spec: ShortcutSpec, desktop: Desktop) -> list[Path]:
    """The shortcuts of the instance that are there and ours."""
    return [place for place in paths(spec, desktop) if place.exists() and _is_ours(place, desktop)]


def up_to_date(spec: ShortcutSpec, place: Path, desktop: Desktop) -> bool | None:
    """Whether a shortcut is what `install` would write now; ``None`` where that cannot be read."""
    if desktop.kind == "linux":
        return place.read_text(encoding="utf-8", errors="replace") == linux.render_entry(spec)
    if desktop.kind == "macos":
        files = macos.render_bundle(spec)
        return all((place / name).is_file() and (place / name).read_bytes() == data for name, data in files.items())
    return None


def paths(spec: ShortcutSpec, desktop: Desktop) -> list[Path]:
    """Where the shortcuts of the instance belong."""
    name = {"linux": f"{spec.name}.desktop", "windows": f"{spec.title('en')}.lnk", "macos": f"{spec.title('en')}.app"}
    return [folder / name[desktop.kind] for folder in desktop.folders]


def _write(spec: ShortcutSpec, place: Path, desktop: Desktop) -> None:
    if desktop.kind == "linux":
        place.write_text(linux.render_entry(spec), encoding="utf-8")
        place.chmod(0o755)
        if place.parent != desktop.folders[0]:
            # GNOME starts what lies on the desktop only when it is marked as trusted; other desktops ignore it.
            desktop.run(["gio", "set", str(place), "metadata::trusted", "true"])
        return
    if desktop.kind == "macos":
        bundle = {**macos.render_bundle(spec), "Contents/Resources/icon.icns": icon.icns(icon.png())}
        for name, data in {**bundle, f"Contents/{_MARK_FILE}": MARK.encode()}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
            (place / name).chmod(0o755 if "/MacOS/" in name else 0o644)
        return
    script = windows.render_script(spec, place)
    code, said = desktop.run(["powershell", "-NoProfile", "-NonInteractive", "-Command", script])
    if code:
        raise LauncherError(
            f"PowerShell could not write {place}: {said.splitlines()[-1] if said else code}.",
            fix="Allow PowerShell to run, or make a link to scripts\\start.bat by hand.",
        )


def _is_ours(place: Path, desktop: Desktop) -> bool:
    if desktop.kind == "linux":
        return f"X-Made-By={MARK}" in place.read_text(encoding="utf-8", errors="replace").splitlines()
    if desktop.kind == "macos":
        return (place / "Contents" / _MARK_FILE).is_file()
    # A link's arguments stand in it as UTF-16.
    return "launcher open".encode("utf-16-le") in place.read_bytes()


def _icon(desktop: Desktop) -> bytes:
    if desktop.kind == "linux":
        return icon.svg()
    return icon.ico(icon.png()) if desktop.kind == "windows" else icon.icns(icon.png())


def _linux_desktop(home: Path, environ: Mapping[str, str], run: Run) -> tuple[Path, ...]:
    """The desktop's folder, which many systems translate; none where there is none."""
    code, said = (1, "") if "XDG_DESKTOP_DIR" in environ else run(["xdg-user-dir", "DESKTOP"])
    folder = Path(environ.get("XDG_DESKTOP_DIR") or (said if code == 0 and said else home / "Desktop"))
    return (folder,) if folder.is_dir() and folder != home else ()


def run_quietly(arguments: Sequence[str]) -> tuple[int, str]:
    """Runs a command with no input; exit code 127 when there is none of that name."""
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, f"{arguments[0]} did not run"
    return done.returncode, done.stdout.strip()
