"""What people take away of a job: a zip file of its rows, one sound of them all, or one row.

Invariants: a file is sent while it is made; names are the rows' own where they have one, and each is there once; what
is made on the disk for the sending goes with it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from webui.audio import RATES_HZ, encode
from webui.jobs.joining import Whole, arrange, sound_of, srt_of, wav_of
from webui.jobs.records import Job, JobRow
from webui.jobs.rows import safe_name
from webui.jobs.store import JobStore
from webui.library.archives import stream_zip
from webui.markup import plain

#: Formats of results, with libsndfile's container and codec for those that are made as one long file.
FORMATS = ("wav", "mp3", "flac", "opus")
_LONG = {"mp3": ("MP3", "MPEG_LAYER_III"), "flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS")}
_READ_BYTES = 256 * 1024
_NAME_CHARS = 40


def all_rows(store: JobStore, job: Job) -> list[JobRow]:
    """Every row of a job."""
    return store.rows(job.id, limit=job.total)


def names_of(rows: Sequence[JobRow]) -> dict[int, str]:
    """A file name without ending for each row by position: its own, else its number and its first words."""
    width = max(len(str(len(rows))), 4)
    taken: set[str] = set()
    names = {}
    for row in rows:
        words = safe_name(plain(str(row.request["text"]))[:_NAME_CHARS].replace("/", " ").replace("\\", " "))
        wanted = row.name or f"{row.position:0{width}}-{'-'.join(words.split())}".strip("-")
        name, number = wanted, 2
        # Some systems do not tell upper from lower case.
        while name.casefold() in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name.casefold())
        names[row.position] = name
    return names


def row_file(store: JobStore, row: JobRow, audio_format: str) -> tuple[bytes, str]:
    """One row's sound and its media type."""
    pcm = np.frombuffer(store.path(row).read_bytes()[44:], "<i2")
    return encode(pcm, row.sample_rate_hz, audio_format)


def zip_of(store: JobStore, job: Job, audio_format: str) -> Iterator[bytes]:
    """The rows that are done, with a list of all rows and subtitles with their true times."""
    rows = all_rows(store, job)
    names = names_of(rows)
    listed = {"job": job.to_json(), "rows": [_listed(row, names[row.position], audio_format) for row in rows]}
    texts = [("manifest.json", json.dumps(listed, ensure_ascii=False, indent=1))]
    whole = arrange(rows, float(job.options["gap_s"]))
    if whole.places:
        texts.append(("joined.srt", srt_of(whole)))
    heard = [row for row in rows if row.file]
    return stream_zip(texts, _files(store, heard, names, audio_format))


def joined_of(store: JobStore, job: Job, audio_format: str) -> Iterator[bytes]:
    """All rows that are done as one sound."""
    whole = arrange(all_rows(store, job), float(job.options["gap_s"]), RATES_HZ.get(audio_format, ()))
    folder = store.rows_folder
    return wav_of(whole, folder) if audio_format == "wav" else _encoded(whole, folder, store.parts, audio_format)


def _listed(row: JobRow, name: str, audio_format: str) -> dict[str, Any]:
    return {"file": f"{name}.{audio_format}" if row.file else None, **row.to_json()}


def _files(
    store: JobStore, rows: Sequence[JobRow], names: dict[int, str], audio_format: str
) -> Iterator[tuple[str, Path]]:
    for row in rows:
        name = f"{names[row.position]}.{audio_format}"
        if audio_format == "wav":
            yield name, store.path(row)
            continue
        path = store.parts / f"{uuid.uuid4().hex}.{audio_format}"
        try:
            path.write_bytes(row_file(store, row, audio_format)[0])
            yield name, path
        except FileNotFoundError:
            continue
        finally:
            path.unlink(missing_ok=True)


def _encoded(whole: Whole, folder: Path, parts: Path, audio_format: str) -> Iterator[bytes]:
    """A long sound through libsndfile, which must be able to go back in its file: on the disk, then out."""
    import soundfile

    container, codec = _LONG[audio_format]
    path = parts / f"{uuid.uuid4().hex}.{audio_format}"
    try:
        with soundfile.SoundFile(path, "w", whole.sample_rate_hz, 1, subtype=codec, format=container) as file:
            for data in sound_of(whole, folder):
                pcm = np.frombuffer(data, "<i2")
                # In blocks: libsndfile's Opus encoder overflows its stack when it gets minutes of sound at once.
                for start in range(0, len(pcm), whole.sample_rate_hz):
                    file.write(pcm[start : start + whole.sample_rate_hz])
                yield b""  # a whole book takes minutes: who hangs up meanwhile ends it here
        with path.open("rb") as source:
            while block := source.read(_READ_BYTES):
                yield block
    finally:
        path.unlink(missing_ok=True)
