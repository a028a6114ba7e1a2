"""Zip files out and in: written while they are sent, read without trusting a word of them.

Invariants: nothing of an archive is ever written under a name that the archive chose; what is read of it is bounded
in bytes, whatever its headers claim; an archive going out is never held in memory or on the disk as a whole.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from launcher.errors import SpeechError
from webui.library.decoding import Decoder

MEDIA_TYPE = "application/zip"
#: Most entries that are looked at, and most bytes of a JSON or YAML entry.
MAX_ENTRIES, MAX_TEXT_BYTES = 20_000, 8 * 1024 * 1024
#: Of the list of entries at a zip file's end: 20,000 of them with names of 150 letters.
MAX_LIST_BYTES = 4 * 1024 * 1024
#: Of one import, in seconds: a thousand ordinary recordings take three minutes.
PATIENCE_S = 600.0
_COPY_BYTES = 1024 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: The zip format knows no year before; one time for all makes equal content an equal file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Outlet(io.RawIOBase):
    """What a zip file is written to; `take` hands out what has come since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def stream_zip(texts: Iterable[tuple[str, str]], files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """The bytes of a zip file.

    Args:
        texts: name and content of each text, deflated.
        files: name and path of each file, as it is; one that is gone is left out.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w") as archive:
        for name, text in texts:
            archive.writestr(_entry(name, zipfile.ZIP_DEFLATED), text)
            yield outlet.take()
        for name, path in files:
            try:
                source = path.open("rb")
            except FileNotFoundError:
                continue
            with source, archive.open(_entry(name, zipfile.ZIP_STORED), "w") as entry:
                while block := source.read(_COPY_BYTES):
                    entry.write(block)
                    yield outlet.take()
    yield outlet.take()


class _Bounded(io.BufferedReader):
    """A file of which nobody reads much at once: a zip file's list of entries is read whole before it is looked at."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = MAX_LIST_BYTES + 1 if size is None or size < 0 else min(size, MAX_LIST_BYTES + 1)
        data = super().read(wanted)
        if len(data) > MAX_LIST_BYTES:
            raise zipfile.BadZipFile("the list of entries is too long")
        return data


class Archive:
    """A zip file that somebody sent.

    Args:
        path: where it lies.
        patience_s: from when on nothing more is taken out of it: a thousand recordings may each be slow to decode.

    Attributes:
        decoder: for the recordings in it; ends with the archive.

    Raises:
        SpeechError: when it is no zip file, or one that is not ours to read.
    """

    def __init__(self, path: Path, *, patience_s: float = PATIENCE_S) -> None:
        self._deadline = time.monotonic() + patience_s
        self._file = _Bounded(io.FileIO(path))
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self._file.close()
            raise bad_archive("The file is no zip file that can be read.") from error
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            self._zip.close()
            self._file.close()
            raise bad_archive(f"The zip file has {len(entries)} entries, more than {MAX_ENTRIES}.")
        # Windows' own archiver has written backslashes; a repeated name counts once, the last one, as zip tools do.
        self.decoder = Decoder()
        self._entries = {entry.filename.replace("\\", "/"): entry for entry in entries if not entry.is_dir()}

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()
        self.decoder.close()

    @property
    def names(self) -> list[str]:
        """Every entry's name, in order."""
        return list(self._entries)

    def text(self, name: str) -> str:
        """A small entry as text.

        Raises:
            SpeechError: when it is missing, damaged or too large.
        """
        try:
            return self._read(name, MAX_TEXT_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_archive(f"{name!r:.100} in the zip file is no text.") from error

    def json(self, name: str) -> Any:
        """An entry as JSON.

        Raises:
            SpeechError: as `text`, or when it is no JSON.
        """
        try:
            return json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise bad_archive(f"{name!r:.100} in the zip file is no JSON.") from error

    def extract(self, name: str, target: Path, max_bytes: int) -> None:
        """Writes one entry to a path that the caller chose.

        Raises:
            SpeechError: when it is missing, damaged or larger than ``max_bytes``, or the archive took too long.
        """
        if time.monotonic() >= self._deadline:
            raise bad_archive(f"The zip file took too long, so {name!r:.100} was left out.")
        with self._opened(name) as source, target.open("wb") as file:
            self._copy(source, file, name, max_bytes)

    def _read(self, name: str, max_bytes: int) -> bytes:
        buffer = io.BytesIO()
        with self._opened(name) as source:
            self._copy(source, buffer, name, max_bytes)
        return buffer.getvalue()

    def _opened(self, name: str) -> Any:
        entry = self._entries.get(name)
        if entry is None:
            raise bad_archive(f"{name!r:.100} is missing in the zip file.")
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise bad_archive(f"{name!r:.100} in the zip file is encrypted, or compressed in an uncommon way.")
        try:
            return self._zip.open(entry)
        except (zipfile.BadZipFile, OSError, RuntimeError) as error:
            raise _damaged(name) from error

    def _copy(self, source: Any, target: Any, name: str, max_bytes: int) -> None:
        """Reads at most one byte more than may be: the sizes in the headers are claims."""
        left = max_bytes
        try:
            while block := source.read(min(_COPY_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    raise bad_archive(f"{name!r:.100} in the zip file is larger than {max_bytes} bytes.")
                target.write(block)
        except (zipfile.BadZipFile, EOFError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise _damaged(name) from error


def copy_text(source: Path) -> str:
    """A small file's text.

    Raises:
        SpeechError: when it is too large or no UTF-8.
    """
    if source.stat().st_size > MAX_TEXT_BYTES:
        raise bad_archive(f"The file is larger than {MAX_TEXT_BYTES // 2**20} MiB.")
    try:
        return source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_archive("The file is no UTF-8 text.") from error


def is_zip(path: Path) -> bool:
    """Whether a file begins as zip files do."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def bad_archive(message: str) -> SpeechError:
    """The error for a file that cannot be imported."""
    return SpeechError(
        message, fix="Choose a file that was exported here or by IndexTTS.", param="file", code="bad_file"
    )


def _damaged(name: str) -> SpeechError:
    return bad_archive(f"{name!r:.100} in the zip file is damaged.")


def _entry(name: str, method: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = 0o600 << 16
    return entry
