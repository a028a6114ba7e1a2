"""The documents speak of what there is: settings, commands, options, links, exit codes, in both languages alike."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from launcher import errors
from launcher.cli.app import main
from launcher.config.keys import KEYS
from webui.audio import MEDIA_TYPES
from webui.engine.kokoro.voices import VOICES

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
DOCUMENTS = [
    *READMES,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def _help(*words: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*words, "--help"])
    assert code == 0, f"launcher {words} --help: {said.getvalue()}"
    return said.getvalue()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", _text(name))
    missing = [
        link
        for link in links
        if "://" not in link and not ((ROOT / name).parent / link.split("#")[0]).resolve().exists()
    ]
    assert not missing, f"{name} links to {missing}"


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md"])
def test_files_that_are_named_exist(name: str) -> None:
    named = re.findall(r"`((?:launcher|webui|scripts|tests|locks|docs|\.ci)/[\w./\\-]*)", _text(name))
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing, f"{name} names {missing}"


@pytest.mark.parametrize("name", READMES)
def test_settings_exist(name: str) -> None:
    named = set(re.findall(r"\b(LAUNCHER_[A-Z_]+|HF_[A-Z]+)\b", _text(name)))
    assert named
    assert named <= {key.name for key in KEYS}


@pytest.mark.parametrize("name", READMES)
def test_defaults_are_the_real_ones(name: str) -> None:
    defaults = {key.name: key.default for key in KEYS}
    rows = re.findall(r"^\| `(LAUNCHER_[A-Z_]+)` \| `([^`]+)` \|", _text(name), re.MULTILINE)
    assert len(rows) >= 4
    assert rows == [(setting, defaults[setting]) for setting, _ in rows]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_and_their_options_exist(name: str) -> None:
    lines = re.findall(r"(?:^|[`$] ?|\" \| )(tts-launcher [a-z-]+ ?[^`\n|>]*)", _text(name), re.MULTILINE)
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        while words and words[0].startswith("--"):
            words = words[1:]
        command, *arguments = words
        shown = _help(command)
        if arguments and re.search(rf"^  {re.escape(arguments[0])}  ", shown.partition("Commands:")[2], re.MULTILINE):
            shown = _help(command, arguments[0])
        for option in (argument for argument in arguments if re.match(r"--?[a-z]", argument)):
            assert re.search(rf"(?<![\w-]){option}\b", shown), f"{line}: {command} has no {option}"


@pytest.mark.parametrize("name", READMES)
def test_the_exit_codes_are_the_real_ones(name: str) -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", _text(name), re.MULTILINE)}
    real = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert documented == real | {0, 130}


@pytest.mark.parametrize("name", READMES)
def test_voices_and_formats_are_the_real_ones(name: str) -> None:
    text = _text(name)
    for word in [*(voice.id for voice in VOICES), *MEDIA_TYPES]:
        assert f"`{word}`" in text, f"{name} does not name {word}"


TWINS = [("README.md", "README.zh.md")] + [
    (name, name.replace(".md", ".zh.md")) for name in DOCUMENTS if (ROOT / name.replace(".md", ".zh.md")).is_file()
]


@pytest.mark.parametrize(("english", "chinese"), dict.fromkeys(TWINS))
def test_both_languages_say_the_same(english: str, chinese: str) -> None:
    def shape(name: str) -> list[str]:
        return re.findall(r"^(#+|```\w*|\|(?= )|- |!\[)", _text(name), re.MULTILINE)

    assert shape(english) == shape(chinese)
    assert f"[中文]({Path(chinese).name})" in _text(english) and f"[English]({Path(english).name})" in _text(chinese)
