"""Recordings that somebody sends for a request or a few, and that nobody keeps: temporary files with a name to ask for.

Invariants: what is stored was read as the recording of a voice is (`webui.library.recordings`), so it has the same
bounds; a name cannot be guessed, and names no path; `webui.temporary` takes files away that were not used for long.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from launcher.errors import SpeechError
from webui.audio import encode
from webui.library.files import make_private
from webui.library.recordings import VoiceRecording

_PREFIX = "upload-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")


class Uploads:
    """The recordings.

    Args:
        folder: private, of temporary files; made when something is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, recording: VoiceRecording) -> str:
        """Stores a recording; returns its name.

        Raises:
            OSError: when the disk refuses.
        """
        make_private(self._folder)
        name = f"{_PREFIX}{secrets.token_hex(16)}"
        content, _ = encode(recording.pcm, recording.sample_rate_hz, "wav")
        part = self._folder / f"{name}.part"
        try:
            part.write_bytes(content)
            part.replace(self._path(name))
        finally:
            part.unlink(missing_ok=True)
        return name

    def path(self, name: str, param: str) -> Path | None:
        """Where a recording lies, which stays a while longer from now on; ``None`` when the name is none of ours.

        Args:
            name: from `add`, or anything else.
            param: the request's field, for errors.

        Raises:
            SpeechError: when it has gone.
        """
        if not _NAME.fullmatch(name):
            return None
        path = self._path(name)
        with contextlib.suppress(OSError):
            os.utime(path)
        if not path.is_file():
            raise SpeechError(
                "The recording was kept for a while only, and has gone.",
                fix="Send it again, or add it to the voices.",
                param=param,
                code="recording_expired",
                http_status=410,
            )
        return path.resolve()

    def remove(self, name: str) -> None:
        """Takes a recording away; one that is not there is no error."""
        if _NAME.fullmatch(name):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.wav"
