"""A macOS application: a folder with a property list, a script that starts us, and an icon.

Invariants: rendering is pure; every argument is quoted for the shell.
"""

from __future__ import annotations

import plistlib
import shlex

from launcher import __version__
from launcher.shortcut.spec import ShortcutSpec

_EXECUTABLE = "open-page"
_ICON = "icon.icns"


def render_bundle(spec: ShortcutSpec) -> dict[str, bytes]:
    """Path inside ``NAME.app`` to content; the installer adds ``Contents/Resources/icon.icns``."""
    about = {
        "CFBundleName": spec.title("en"),
        "CFBundleDisplayName": spec.title("en"),
        "CFBundleIdentifier": f"local.{spec.name}",
        "CFBundleVersion": __version__,
        "CFBundleShortVersionString": __version__,
        "CFBundlePackageType": "APPL",
        "CFBundleExecutable": _EXECUTABLE,
        "CFBundleIconFile": _ICON,
        "LSUIElement": True,
    }
    command = shlex.join((spec.python, *spec.arguments))
    script = f"#!/bin/sh\ncd {shlex.quote(str(spec.folder))} && exec {command}\n"
    return {
        "Contents/Info.plist": plistlib.dumps(about, sort_keys=False),
        f"Contents/MacOS/{_EXECUTABLE}": script.encode(),
    }
