"""Recordings of voices: the stored ones and those that come with the engines, which a person chooses by name, and
those that a request names by path.

Invariants: a request reaches no file outside the folders that the launcher named; a recording is known by its
content, so that the same voice under another name is the same, and another one under the same name is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from launcher.errors import SpeechError
from webui.engine.base import Voice
from webui.engine.indextts.samples import SAMPLES, sample_path

#: What soundfile and audioread read without other programs.
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".w64"}
#: Most bytes of a recording; the engines use its first 15 s.
MAX_BYTES = 200 * 1024 * 1024
#: Shortest recording that has a voice in it, in seconds.
MIN_S = 0.5


@dataclass(frozen=True)
class Recording:
    """A recording that may be used.

    Attributes:
        path: absolute, links resolved.
        digest: sha256 of the content.
    """

    path: Path
    digest: str


def stored_voices(folder: Path, languages: tuple[str, ...]) -> tuple[Voice, ...]:
    """The voices that lie in a folder, by file name; then those that come with the engines."""
    own = [Voice(id_, {"en": path.stem, "zh": path.stem}, languages=languages) for id_, path in _stored(folder)]
    taken = {voice.id for voice in own}
    return (*own, *(replace(voice, languages=languages) for voice in SAMPLES if voice.id not in taken))


def find_recording(name: str, voices_dir: Path, folders: tuple[Path, ...], param: str) -> Recording:
    """The recording that a request names.

    Args:
        name: a voice's id or a path; empty means the first voice.
        voices_dir: where stored voices lie.
        folders: where a path may lead.
        param: the request's field, for errors.

    Raises:
        SpeechError: when there is none, or it cannot be used.
    """
    stored = dict(_stored(voices_dir))
    for voice in SAMPLES:
        stored.setdefault(voice.id, sample_path(voice.id))
    if not name:
        return _read(next(iter(stored.values())), param)
    if name in stored:
        return _read(stored[name], param)
    path = Path(name)
    allowed = path.is_absolute() and any(_within(path, folder) for folder in folders)
    if not allowed or not path.is_file():
        # One answer for what is not there and what is not allowed: it tells nothing about other files.
        raise SpeechError(
            f"{param}={name!r:.200} is no stored voice and no recording in a folder for recordings.",
            fix=f"Put it into {voices_dir}, or upload it on the page.",
            param=param,
            code="unknown_recording",
        )
    return _read(path, param)


def _stored(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        return
    seen = set()
    for path in sorted(folder.iterdir(), key=lambda item: item.name.lower()):
        id_ = path.stem.lower()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not id_.startswith(".") and id_ not in seen:
            seen.add(id_)
            yield id_, path


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _read(path: Path, param: str) -> Recording:
    import soundfile

    path = path.resolve()
    if path.stat().st_size > MAX_BYTES:
        raise SpeechError(f"{param}: {path.name} is larger than 200 MiB.", fix="Cut it to 15 s.", param=param)
    try:
        duration_s = soundfile.info(str(path)).duration
    except (RuntimeError, OSError) as error:
        raise SpeechError(
            f"{param}: {path.name} is no sound file that can be read.",
            fix="Use WAV, FLAC, MP3 or OGG.",
            param=param,
            code="unreadable_recording",
        ) from error
    if duration_s < MIN_S:
        raise SpeechError(
            f"{param}: {path.name} lasts {duration_s:.2f} s.", fix="Use a recording of 3 to 15 s.", param=param
        )
    return Recording(path, hashlib.sha256(path.read_bytes()).hexdigest())
