"""``say``: turns text into a sound file, through the running instance or an engine of its own.

Invariants: words for people go to standard error when the sound goes to standard output; Ctrl-C cancels the speech
and leaves no half file.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from launcher.cli.app import Context
from launcher.cli.output import Output
from launcher.cli.sound_file import check_path, default_path, file_in_place, finish_wav, wav_header
from launcher.cli.speech_source import SpeechSource, speech_source
from launcher.errors import ConfigError, SpeechError
from launcher.frames import PCM
from launcher.progress import Progress

#: File name endings -> format of the speech API; every other ending is refused.
_FORMATS = {".wav": "wav", ".mp3": "mp3", ".flac": "flac", ".opus": "opus", ".ogg": "opus"}
_STDOUT = "-"


@dataclass
class _Outcome:
    """What was spoken."""

    audio_s: float | None = None
    synthesis_s: float | None = None
    sample_rate_hz: int | None = None


@click.command(name="say", help="Turn TEXT into speech. Without TEXT, or with -, the text comes from standard input.")
@click.argument("text", required=False)
@click.option("-o", "--output", "target", metavar="FILE", help="File to write (.wav .mp3 .flac .opus); - is stdout.")
@click.option("--voice", default="", metavar="NAME", help="Voice; without it the engine's first one.")
@click.option("--emotion", default="", metavar="LIST", help="For example happy=0.8,calm=0.2 (0 to 1 each).")
@click.option("--intensity", type=float, metavar="X", help="Factor on the whole emotion, 0 to 1.")
@click.option("--speed", type=float, metavar="X", help="1 is the voice's own rate; 0.25 to 4.")
@click.option("--language", metavar="CODE", help="auto, zh, en or ja.")
@click.option("--seed", type=int, metavar="N", help="For engines that draw random numbers.")
@click.option("--quality", type=click.Choice(["off", "mark", "redo"]), help="What to do about what sounds wrong.")
@click.option("--force", is_flag=True, help="Replace FILE when it exists.")
@click.pass_obj
def command(context: Context, /, text: str | None, target: str | None, force: bool, **options: Any) -> None:
    """Speaks the text into a file."""
    config = context.load_config()
    request = _request(_text(text), options)
    path = _path(target, force=force, output=context.output)
    with speech_source(config) as source:
        outcome = _speak(source, request, path, context.output)
    if path is None:
        return
    seconds = "" if outcome.audio_s is None else f" ({outcome.audio_s:.1f} s)"
    facts = {"file": str(path), "format": _FORMATS[path.suffix.lower()], "engine": source.name, **vars(outcome)}
    context.output.result(facts, f"{path}{seconds}")


def _speak(source: SpeechSource, request: Mapping[str, Any], path: Path | None, output: Output) -> _Outcome:
    if path is None:
        return _write_wav(source, request, sys.stdout.buffer, output)
    audio_format = _FORMATS[path.suffix.lower()]
    with file_in_place(path) as file:
        if audio_format == "wav":
            return _write_wav(source, request, file, output)
        for data in source.encoded(request, audio_format, output.progress):
            file.write(data)
    return _Outcome()


def _write_wav(source: SpeechSource, request: Mapping[str, Any], file: BinaryIO, output: Output) -> _Outcome:
    """Writes the speech as it comes; the length in the header follows where the file can seek."""
    outcome, data_bytes, rate_hz = _Outcome(), 0, 0
    for frame in source.speak(request, output.progress):
        if frame.kind == PCM:
            file.write(frame.payload)
            data_bytes += len(frame.payload)
            continue
        event = frame.event
        if event["event"] == "start":
            rate_hz = int(event["sample_rate_hz"])
            file.write(wav_header(rate_hz, None))
        elif event["event"] == "progress":
            output.progress(Progress.from_json(event))
        elif event["event"] == "queue":
            output.progress(Progress("queue"))
        elif event["event"] == "mark":
            for finding in event["findings"]:
                output.note(f"Segment {event['index'] + 1}: {finding['words']['en']}")
        elif event["event"] == "end":
            outcome = _Outcome(event.get("audio_s"), event.get("synthesis_s"), rate_hz)
    file.flush()
    if file.seekable():
        finish_wav(file, rate_hz, data_bytes)
    return outcome


def _text(argument: str | None) -> str:
    """The text from the argument or standard input.

    Raises:
        SpeechError: when there is none, or it is not UTF-8.
    """
    if argument is None and sys.stdin.isatty():
        raise SpeechError("There is no text.", fix='Give it as an argument: say "Hello", or through standard input.')
    try:
        if argument is None or argument == _STDOUT:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        else:
            text = argument.encode().decode()
    except UnicodeError:
        raise SpeechError("The text is not UTF-8.", fix="Convert it to UTF-8 first.", code="not_utf8") from None
    if not text.strip():
        raise SpeechError("text is empty.", fix="Give something to say.", param="text", code="empty_text")
    return text


def _request(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value not in (None, "")}
    for name, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
            raise SpeechError(f"{name}={value} is no number.", fix=f"Give {name} a number.", param=name)
    if "emotion" in given:
        given["emotion"] = _emotion(given["emotion"])
    return {"text": text, **given}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _emotion(text: str) -> dict[str, float]:
    """Names and numbers from ``happy=0.8,calm=0.2``; the engine knows which names and numbers are good.

    Raises:
        SpeechError: for a part that is not name=number.
    """
    values = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            values[name] = _finite(number)
        except ValueError:
            raise SpeechError(
                f"emotion part {part!r} is not name=number.",
                fix="Write for example --emotion happy=0.8,calm=0.2",
                param="emotion",
            ) from None
    return values


def _path(target: str | None, *, force: bool, output: Output) -> Path | None:
    """The file to write; ``None`` for standard output.

    Raises:
        ConfigError, StorageError: when the sound cannot go there.
    """
    if target == _STDOUT:
        if output.json:
            raise ConfigError(
                "-o - and --json both want standard output.", fix="Give a file name, or leave --json out."
            )
        if sys.stdout.isatty():
            raise ConfigError("-o - would write sound into the terminal.", fix="Send it on: say ... -o - | aplay")
        return None
    path = default_path(Path.cwd(), time.time()) if target is None else Path(target)
    if path.suffix.lower() not in _FORMATS:
        raise SpeechError(
            f"-o {path.name} has no ending of a sound format.",
            fix=f"Use one of {', '.join(_FORMATS)}.",
            param="output",
            code="unsupported_format",
        )
    check_path(path, force=force)
    return path
