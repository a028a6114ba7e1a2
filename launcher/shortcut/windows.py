"""A Windows link, made by the shell's own object through PowerShell; no package is needed for it.

Invariants: rendering is pure; a text enters the script only as a quoted PowerShell literal.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from launcher.shortcut.spec import COMMENTS, ShortcutSpec


def render_script(spec: ShortcutSpec, link: Path) -> str:
    """A PowerShell script that writes ``link`` (``.lnk``)."""
    values = {
        "TargetPath": spec.python,
        "Arguments": subprocess.list2cmdline(spec.arguments),
        "WorkingDirectory": str(spec.folder),
        "IconLocation": f"{spec.icon},0",
        "Description": COMMENTS["en"],
    }
    lines = ["$ErrorActionPreference = 'Stop'", "$shell = New-Object -ComObject WScript.Shell"]
    lines.append(f"$link = $shell.CreateShortcut({_literal(str(link))})")
    lines += [f"$link.{name} = {_literal(value)}" for name, value in values.items()]
    return "\n".join([*lines, "$link.Save()"]) + "\n"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
