"""Shortcuts: what they say, and that they are put in place, found again and taken away."""

from __future__ import annotations

import plistlib
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.config import load
from launcher.errors import LauncherError, StorageError
from launcher.shortcut import icon, linux, macos, windows
from launcher.shortcut.failure import render_failure
from launcher.shortcut.install import Desktop, install, installed, remove, this_desktop, up_to_date
from launcher.shortcut.spec import ShortcutSpec, make_spec

AWKWARD = "/opt/a b\"c$d%e\\f;`g'h"


@pytest.fixture
def spec() -> ShortcutSpec:
    arguments = ("-m", "launcher", "open", "--instance", "default", "--env-file", f"{AWKWARD}/.env")
    return ShortcutSpec("default", f"{AWKWARD}/python", Path("/opt/tts"), arguments, Path("/opt/icon.svg"))


@pytest.mark.skipif(shutil.which("desktop-file-validate") is None, reason="desktop-file-utils is not installed")
def test_the_desktop_entry_is_valid(spec: ShortcutSpec, tmp_path: Path) -> None:
    place = tmp_path / "x.desktop"
    for each in (spec, replace(spec, instance="second")):
        place.write_text(linux.render_entry(each))
        done = subprocess.run(
            ["desktop-file-validate", str(place)], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")
    place.write_text(linux.render_entry(spec).replace("Type=Application", "Type=Nonsense"))
    assert subprocess.run(["desktop-file-validate", str(place)], capture_output=True, check=False).returncode != 0


def test_the_command_survives_the_entrys_quoting(spec: ShortcutSpec) -> None:
    line = next(line for line in linux.render_entry(spec).splitlines() if line.startswith("Exec="))
    # The specification's steps backwards: a string's escapes, quoting (here the shell's), %%.
    text = line.removeprefix("Exec=").replace("\\\\", "\\")
    said = subprocess.run(f"printf '%s\\n' {text}", shell=True, capture_output=True, text=True, check=True).stdout
    assert said.replace("%%", "%").splitlines() == [spec.python, *spec.arguments]


def test_actions_concern_the_same_instance(spec: ShortcutSpec) -> None:
    assert spec.command("stop") == ("-m", "launcher", "stop", *spec.arguments[3:])
    assert "Name[zh_CN]=停止" in linux.render_entry(spec)


def test_the_windows_script_quotes_its_texts(spec: ShortcutSpec) -> None:
    script = windows.render_script(spec, Path("C:/o'neil/TTS.lnk"))
    assert "'C:/o''neil/TTS.lnk'" in script.replace("\\", "/")
    assert "-m launcher open" in script
    assert "$link.Save()" in script


def test_the_mac_application(spec: ShortcutSpec) -> None:
    bundle = macos.render_bundle(spec)
    about = plistlib.loads(bundle["Contents/Info.plist"])
    script = bundle[f"Contents/MacOS/{about['CFBundleExecutable']}"].decode()
    words = shlex.split(script.splitlines()[1])
    assert words == ["cd", "/opt/tts", "&&", "exec", spec.python, *spec.arguments]


def test_the_icon_in_every_format() -> None:
    picture = icon.png()
    assert struct.unpack(">II", picture[16:24]) == (icon.SIZE_PX, icon.SIZE_PX)
    assert icon.svg().startswith(b"<svg")
    windows_icon = icon.ico(picture)
    size, offset = struct.unpack("<II", windows_icon[14:22])
    assert windows_icon[offset : offset + size] == picture
    mac_icon = icon.icns(picture)
    assert struct.unpack(">I", mac_icon[4:8]) == (len(mac_icon),)
    assert mac_icon.endswith(picture)


class WritingShell:
    """Runs nothing and keeps what it was told; PowerShell's link becomes a file with its arguments in it."""

    def __init__(self, code: int = 0) -> None:
        self.told: list[Sequence[str]] = []
        self._code = code

    def __call__(self, arguments: Sequence[str]) -> tuple[int, str]:
        self.told.append(arguments)
        if arguments[0] == "powershell" and not self._code:
            script = arguments[-1]
            place = script.split("CreateShortcut('")[1].split("')")[0]
            Path(place).write_bytes(script.encode("utf-16-le"))
        return self._code, ""


@pytest.mark.parametrize("kind", ["linux", "windows", "macos"])
def test_install_and_removal(spec: ShortcutSpec, tmp_path: Path, kind: str) -> None:
    (tmp_path / "desktop").mkdir()
    desktop = Desktop(kind, (tmp_path / "menu", tmp_path / "desktop"), tmp_path / "icons", WritingShell())
    assert installed(spec, desktop) == []
    places = install(spec, desktop)
    assert installed(spec, desktop) == places
    assert len(places) == 2
    assert all(up_to_date(spec, place, desktop) is not False for place in places)
    changed = replace(spec, python="/other/python")
    if kind != "windows":
        assert up_to_date(changed, places[0], desktop) is False
    install(changed, desktop)  # ours: replaced
    assert remove(spec, desktop) == places
    assert not list((tmp_path / "menu").iterdir())
    assert not list((tmp_path / "icons").iterdir())


def test_two_instances_have_two_shortcuts(spec: ShortcutSpec, tmp_path: Path) -> None:
    desktop = Desktop("linux", (tmp_path / "menu",), tmp_path / "icons", WritingShell())
    second = replace(spec, instance="second")
    install(spec, desktop)
    install(second, desktop)
    remove(spec, desktop)
    assert [place.name for place in installed(second, desktop)] == ["tts-launcher-second.desktop"]
    assert (tmp_path / "icons" / "tts-launcher.svg").exists()


def test_somebody_elses_file_stays(spec: ShortcutSpec, tmp_path: Path) -> None:
    desktop = Desktop("linux", (tmp_path,), tmp_path / "icons", WritingShell())
    (tmp_path / "tts-launcher.desktop").write_text("[Desktop Entry]\nName=Mine\n")
    with pytest.raises(StorageError, match="not made by this"):
        install(spec, desktop)
    assert remove(spec, desktop) == []
    assert "Mine" in (tmp_path / "tts-launcher.desktop").read_text()


def test_a_powershell_that_refuses(spec: ShortcutSpec, tmp_path: Path) -> None:
    desktop = Desktop("windows", (tmp_path,), tmp_path / "icons", WritingShell(1))
    with pytest.raises(LauncherError, match="PowerShell could not write"):
        install(spec, desktop)


def test_where_each_system_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "Bureau").mkdir()

    def translated(arguments: Sequence[str]) -> tuple[int, str]:
        return 0, str(tmp_path / "Bureau")

    environ = {"HOME": str(tmp_path)}
    found = this_desktop(translated, environ=environ, platform="linux")
    assert found.folders == (tmp_path / ".local/share/applications", tmp_path / "Bureau")
    headless = this_desktop(lambda arguments: (127, ""), environ=environ, platform="linux")
    assert headless.folders == (tmp_path / ".local/share/applications",)
    assert this_desktop(translated, environ=environ, platform="darwin").kind == "macos"
    assert this_desktop(translated, environ=environ, platform="win32").kind == "windows"


def test_the_shortcut_starts_the_same_instance(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("LAUNCHER_TOKEN=0123456789abcdef0123\n")
    config = load({}, dotenv, {"LAUNCHER_DATA_DIR": str(tmp_path), "LAUNCHER_INSTANCE": "studio"})
    made = make_spec(config, Path("/icon"), platform="linux", python=sys.executable)
    assert made.name == "tts-launcher-studio"
    assert made.arguments[-2:] == ("--env-file", str(dotenv))
    assert "0123456789abcdef" not in linux.render_entry(made)


def test_the_failure_page_escapes_everything() -> None:
    page = render_failure("<i>", "<b>broken</b> & {x}", "do <this>", ["<script>alert(1)</script>"])
    assert "<script" not in page
    assert "&lt;b&gt;broken&lt;/b&gt; &amp; {x}" in page
    assert "日志" in page
    assert "<pre>" not in render_failure("x", "m", "f", [])
