"""A desktop entry, Desktop Entry Specification (https://specifications.freedesktop.org/desktop-entry-spec/).

Invariants: rendering is pure; every argument is quoted as the specification asks; `desktop-file-validate` is silent.
"""

from __future__ import annotations

import re

from launcher.shortcut.spec import COMMENTS, MARK, ShortcutSpec

_ACTIONS = (
    ("stop", {"en": "Stop", "zh_CN": "停止"}, ("stop",)),
    ("restart", {"en": "Restart", "zh_CN": "重新启动"}, ("restart", "all")),
)
#: Characters that make quoting necessary, by the specification.
_RESERVED = re.compile(r"[\s\"'\\><~|&;$*?#()`=]")


def render_entry(spec: ShortcutSpec) -> str:
    """The text of ``NAME.desktop``."""
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        "Version=1.1",
        *_localized("Name", {language: spec.title(language) for language in COMMENTS}),
        *_localized("Comment", COMMENTS),
        f"Exec={_command(spec, spec.arguments)}",
        f"Path={_string(str(spec.folder))}",
        f"Icon={_string(str(spec.icon))}",
        "Terminal=false",
        "StartupNotify=false",
        "Categories=AudioVideo;Audio;",
        "Keywords=speech;voice;tts;",
        f"X-Made-By={MARK}",
        f"Actions={''.join(f'{name};' for name, _, _ in _ACTIONS)}",
    ]
    for name, titles, words in _ACTIONS:
        lines += ["", f"[Desktop Action {name}]", *_localized("Name", titles)]
        lines.append(f"Exec={_command(spec, spec.command(*words))}")
    return "\n".join(lines) + "\n"


def _localized(key: str, texts: dict[str, str]) -> list[str]:
    return [f"{key}{'' if language == 'en' else f'[{language}]'}={_string(text)}" for language, text in texts.items()]


def _command(spec: ShortcutSpec, arguments: tuple[str, ...]) -> str:
    return _string(" ".join(_quote(argument) for argument in (spec.python, *arguments)))


def _quote(argument: str) -> str:
    argument = argument.replace("%", "%%")
    if argument and not _RESERVED.search(argument):
        return argument
    escaped = re.sub(r'(["`$\\])', r"\\\1", argument)
    return f'"{escaped}"'


def _string(text: str) -> str:
    """A value of type string: a backslash and a line's end are escaped, on top of any quoting."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")
